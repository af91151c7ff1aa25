"""What the dashboard of a run shows of a training with XGBoost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xgboost

from gangplank.xgboost import TrainTestExporter
from support.boosting import train
from support.grafana import Look, in_short
from support.servers import Server, prometheus

# It tells neither steps, samples nor weights, and trains on one rank.
EMPTY = {
    "Behind the fastest rank",
    "Duration of a step",
    "Forward pass, by rank",
    "Quantiles of the weights",
    "Samples per second",
    "Steps lost",
    "Steps per second",
    "Waiting for data, by rank",
    "Weights of $run",
    "Weights that are NaN or infinite",
}


class Looks(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """Looks after each round."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.look = look

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        self.look()
        return False


def test_these_panels_are_empty_and_no_others(gateway: Server, tmp_path: Path) -> None:
    with prometheus(tmp_path, gateway.address, rules=in_short()) as server:
        look = Look(server, EMPTY)
        train(60, TrainTestExporter(gateway.address, "churn"), Looks(look))
    assert look.empty == look.expected
