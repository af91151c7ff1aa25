"""A served model whose digits drift, and what is told of that, by a real Prometheus and Alertmanager."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.reading import eventually
from support.servers import Generation, Prometheus, alertmanager, get, prometheus
from support.serving import PROGRAMS, send, uvicorn
from support.webhook import webhook

EXPRESSION = "increase(gangplank_predict_drift_detected_total[15m])"


def drift_rule(server: Prometheus) -> dict[str, Any]:
    """Return what Prometheus says of the rule for drift."""
    groups = json.loads(get(f"{server.url}/api/v1/rules?type=alert"))["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"] if rule["name"] == "GangplankDriftDetected"]
    (found,) = rules
    return dict(found)


def last_evaluated(rule: dict[str, Any]) -> dt.datetime:
    return dt.datetime.fromisoformat(rule["lastEvaluation"])


@pytest.mark.parametrize("generation", ["old", "new"])
def test_a_dropped_digit_raises_the_alert_and_undrifted_data_none(
    trained: Path, tmp_path: Path, generation: Generation
) -> None:
    rules = subprocess.run([str(PROGRAMS / "gangplank"), "rules"], capture_output=True, text=True, check=True).stdout
    assert EXPRESSION in rules
    with (
        uvicorn(trained) as server,
        webhook() as received,
        alertmanager(tmp_path, received.url, generation=generation) as alerts_to,
        prometheus(
            tmp_path,
            server.address,
            job="digits",
            rules=rules,
            alerts_to=alerts_to.address,
            each="1s",  # while it predicts, the server may take a while to answer
            generation=generation,
        ) as watching,
    ):
        send(server, 6_000, "--batch", "100")
        watching.await_query('gangplank_predict_drift_checks_total{result="checked"} == 60')
        watching.await_query(f"{EXPRESSION} == 0")
        assert not watching.query("gangplank_predict_drift_p_value < 1e-6")
        now = dt.datetime.now(dt.UTC)
        rule = eventually(lambda: drift_rule(watching), lambda rule: last_evaluated(rule) > now)
        assert rule["state"] == "inactive"
        assert received.alerts == []

        send(server, 3_000, "--batch", "100", "--drop", "0")
        (alert,) = eventually(lambda: list(received.alerts), timeout=30)
        watching.await_query("gangplank_predict_drift_p_value < 1e-6")

    labels = {name: alert["labels"][name] for name in ("alertname", "severity", "job", "model", "version")}
    assert labels == {
        "alertname": "GangplankDriftDetected",
        "severity": "warning",
        "job": "digits",
        "model": "digits",
        "version": "1",
    }
    assert alert["annotations"]["summary"] == "digits: the inputs of the model have drifted"
    assert alert["annotations"]["runbook_url"].endswith("docs/alerts.md#gangplankdriftdetected")
