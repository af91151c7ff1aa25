"""From XGBoost to PromQL: a real Pushgateway and Prometheus, and the very values that XGBoost computed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from xgboost.callback import EarlyStopping

from gangplank.xgboost import TrainTestExporter
from support.boosting import train
from support.reading import eventually
from support.servers import Server, find, prometheus


def test_promql_answers_with_what_xgboost_computed(gateway: Server, tmp_path: Path) -> None:
    results: dict[str, Any] = {}
    with prometheus(tmp_path, gateway.address) as server:
        with TrainTestExporter(gateway.address, "churn") as exporter:
            stopping = EarlyStopping(rounds=3, metric_name="logloss", data_name="eval")
            train(500, stopping, exporter, results=results, params={"eta": 1.0})
        linted = subprocess.run(
            [find("promtool"), "check", "metrics"], input=gateway.metrics(), text=True, capture_output=True, check=False
        )
        assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")
        eventually(lambda: server.query('gangplank_run_state{state="finished"} == 1'), timeout=30)
        rounds = len(results["eval"]["logloss"])
        expected = {
            "gangplank_train_logloss": results["train"]["logloss"][-1],
            "gangplank_train_eval_logloss": results["eval"]["logloss"][-1],
            "gangplank_train_eval_auc": results["eval"]["auc"][-1],
            "gangplank_train_learning_rate": 1,
            "gangplank_run_epoch": rounds,
            'gangplank_run_metric_epoch{metric="eval_auc"}': rounds,
            "gangplank_run_epochs_planned": 500,
        }
        assert {query: [number for _, number in server.query(query)] for query in expected} == {
            query: [number] for query, number in expected.items()
        }
