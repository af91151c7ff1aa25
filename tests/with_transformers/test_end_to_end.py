"""From a Trainer to PromQL: a real Pushgateway and Prometheus, and the very values that the Trainer logged."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gangplank.transformers import TrainTestExporter
from support.reading import eventually
from support.servers import Prometheus, Server, find, prometheus
from support.tiny_trainers import WARNINGS, Net, Points, tiny_trainer

pytestmark = WARNINGS

PROGRESS = Path(__file__).resolve().parents[2] / "docs" / "progress.md"
MEANS = {f"train_{name}": f"mean_{name}" for name in ("loss", "samples_per_second", "steps_per_second")}
STOPS = Path(__file__).with_name("halfway.py")
FRAMEWORKS = ("keras", "lightning", "transformers", "xgboost", "loop")


def queries() -> list[str]:
    """Return the queries of the documentation."""
    found: list[str] = re.findall(r"```promql\n(.*?)```", PROGRESS.read_text(), re.DOTALL)
    assert len(found) == 5
    return found


def await_finished(server: Prometheus) -> None:
    finished = 'sum(gangplank_run_state{phase="train", state="finished"})'
    eventually(lambda: server.query(finished), until=lambda found: bool(found) and found[0][1] == 1, timeout=30)


def test_promql_answers_with_what_the_trainer_logged(gateway: Server, tmp_path: Path) -> None:
    with prometheus(tmp_path, gateway.address) as server:
        exporter = TrainTestExporter(gateway.address, "digits", histogram_buckets="auto")
        trainer = tiny_trainer(
            exporter, eval_strategy="epoch", save_strategy="epoch", held_out={"first": Points(8), "second": Points(8)}
        )
        trainer.train()
        linted = subprocess.run(
            [find("promtool"), "check", "metrics"], input=gateway.metrics(), text=True, capture_output=True, check=False
        )
        assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")
        await_finished(server)
        newest = {
            MEANS.get(name, name).removeprefix("train_"): (value, entry["step"])
            for entry in trainer.state.log_history
            for name, value in entry.items()
            if name not in ("epoch", "step")
        }
        assert len(newest) >= 15
        for name, (value, step) in newest.items():
            [(_, found)] = server.query(f'gangplank_train_{name}{{job="digits"}}')
            assert found == value, name
            if name != "learning_rate":
                [(_, found)] = server.query(f'gangplank_run_metric_step{{metric="{name}"}}')
                assert found == step, name


def test_the_time_that_is_left_is_true_within_a_fifth_and_empty_when_it_is_over(
    gateway: Server, tmp_path: Path
) -> None:
    how_long = queries()[1]
    seen: list[tuple[float, float]] = []
    over = threading.Event()
    with prometheus(tmp_path, gateway.address) as server:

        def look() -> None:
            while not over.wait(0.1):
                asked = time.monotonic()
                seen.extend((asked, left) for _, left in server.query(how_long))

        looking = threading.Thread(target=look)
        looking.start()
        exporter = TrainTestExporter(gateway.address, "digits", push_interval=0.1)
        trainer = tiny_trainer(
            exporter, model=Net(seconds=0.15), train=Points(40, seconds=0.01), eval_strategy="epoch", num_train_epochs=4
        )
        began = time.monotonic()
        trainer.train()
        ended = time.monotonic()
        await_finished(server)
        over.set()
        looking.join()
        assert server.query(how_long) == []
    late = [(ended - asked, left) for asked, left in seen if asked > began + 0.1 * (ended - began) and asked < ended]
    assert len(late) > 10
    wrong = [(truth, left) for truth, left in late if abs(left - truth) > max(0.2 * truth, 0.5)]
    assert not wrong, "0.5 s: what Prometheus has is a quarter of a second old, and so is what it was pushed"


@contextlib.contextmanager
def halfway(framework: str, address: str) -> Iterator[subprocess.Popen[str]]:
    """Run a training that has come half the way, and waits there."""
    env = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONWARNINGS": "ignore", "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, str(STOPS), framework, address],
        env=env,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert any(line.startswith("halfway") for line in process.stdout)
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.timeout(240)
def test_the_same_queries_answer_for_every_framework(gateway: Server, tmp_path: Path) -> None:
    if missing := [framework for framework in FRAMEWORKS[:-1] if importlib.util.find_spec(framework) is None]:
        pytest.skip(f"{missing} are not installed")
    with contextlib.ExitStack() as stack, prometheus(tmp_path, gateway.address) as server:
        for framework in FRAMEWORKS:
            stack.enter_context(halfway(framework, gateway.address))
        progress, left, checkpoint, share, rates = queries()
        each = eventually(lambda: server.query(progress), until=lambda found: len(found) == len(FRAMEWORKS), timeout=30)
        assert {labels["job"]: value for labels, value in each} == dict.fromkeys(FRAMEWORKS, pytest.approx(0.5))
        assert {labels["job"] for labels, value in server.query(left) if value >= 0} == set(FRAMEWORKS)
        assert {labels["job"] for labels, _ in server.query(checkpoint)} >= {"lightning", "transformers", "loop"}
        shares: Counter[str] = Counter()
        for labels, value in server.query(share):
            shares[labels["job"]] += value  # type: ignore[assignment]
        assert shares == dict.fromkeys(FRAMEWORKS, pytest.approx(1))
        assert {labels["job"] for labels, _ in server.await_query(rates)} <= set(FRAMEWORKS)
