"""Training runs that go wrong, and what is told of them, by a real Pushgateway, Prometheus and Alertmanager."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gangplank.monitoring import rules
from support import servers
from support.reading import eventually, value
from support.servers import Generation, Server, alertmanager, prometheus, pushgateway
from support.webhook import webhook

RUN = Path(servers.__file__).with_name("troubled_run.py")
# Of each job: the alert, its severity, and its text with the numbers.
SECONDS = r"\d+(\.\d+)?s"
EXPECTED = {
    "is killed": ("RunDead", "critical", rf"says that it is running, and its last heartbeat was {SECONDS} ago\."),
    "hangs": ("RunStuck", "critical", rf"is alive, and has made no progress for {SECONDS}: longer than"),
    "diverges": ("MetricNotFinite", "critical", r"^1 metrics of the train run diverges-1 are NaN or infinite"),
    "fails": ("RunFailed", "critical", rf"has failed {SECONDS} ago\.$"),
    "saves no more": ("CheckpointTooOld", "warning", rf"ended now, {SECONDS} of its work would be lost\.$"),
}
HEALTHY = "finishes"


@pytest.fixture(params=["old", "new"])
def generation(request: pytest.FixtureRequest) -> Generation:
    found: Generation = request.param
    return found


@contextlib.contextmanager
def training(gateway: Server, job: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the training that is named like this job, until the block ends."""
    command = [sys.executable, str(RUN), gateway.address, job]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        yield process


def test_each_fault_is_told_once_with_its_run_and_its_numbers(tmp_path: Path, generation: Generation) -> None:
    # A process that is alive sends a heartbeat each half second; the longer times are for a busy machine.
    chosen = {"dead_after": "7s", "checkpoint_after": "7s", "stuck_after": "9s", "nonfinite_for": "1s"}
    with contextlib.ExitStack() as until:
        gateway = until.enter_context(pushgateway(tmp_path, generation=generation))
        trainings = {job: until.enter_context(training(gateway, job)) for job in [*EXPECTED, HEALTHY]}
        received = until.enter_context(webhook())
        alerts_to = until.enter_context(alertmanager(tmp_path, received.url, generation=generation)).address
        server = until.enter_context(
            prometheus(tmp_path, gateway.address, rules=rules(**chosen), alerts_to=alerts_to, generation=generation)
        )
        eventually(lambda: value(gateway, "gangplank_run_epoch", job="is killed"))
        trainings["is killed"].kill()
        assert trainings["fails"].wait(30) == 1
        assert trainings[HEALTHY].wait(30) == 0
        eventually(lambda: EXPECTED.keys() <= {alert["labels"]["job"] for alert in received.alerts}, timeout=30)
        firing = server.query("ALERTS")
        state = server.query(f'gangplank_run_state{{job="{HEALTHY}",state="finished"}}')

    assert len(received.alerts) == len(firing) == len(EXPECTED), received.alerts
    assert [sample for _, sample in state] == [1]
    for alert in received.alerts:
        labels = alert["labels"]
        name, severity, text = EXPECTED[labels["job"]]
        found = {key: labels.get(key) for key in ("alertname", "run", "phase", "severity")}
        run = f"{labels['job']}-1"
        assert found == {"alertname": f"Gangplank{name}", "run": run, "phase": "train", "severity": severity}
        assert re.search(text, alert["annotations"]["description"]), alert
        assert run in alert["annotations"]["description"]
        assert alert["annotations"]["summary"].startswith(f"{labels['job']}: ")
        assert alert["annotations"]["runbook_url"].endswith(f"docs/alerts.md#gangplank{name.lower()}")
        assert "error" not in str(alert["annotations"])
