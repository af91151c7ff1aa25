"""XGBoost's adapter passes what every adapter must pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import xgboost

from gangplank.testing import AdapterContract
from support.boosting import train


class EachRound(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    def __init__(self, call: Callable[[int], None]) -> None:
        super().__init__()
        self.call = call

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        self.call(epoch)
        return False


class TestXGBoost(AdapterContract):
    """Trees of depth 3 that tell two classes."""

    adapter = "xgboost"

    def train(self, exporter: Any, epochs: int, each_epoch: Callable[[int], None]) -> Mapping[str, float]:
        results: dict[str, Any] = {}
        with exporter:
            train(epochs, exporter, EachRound(each_epoch), results=results)
        return {"logloss": results["train"]["logloss"][-1], "eval_auc": results["eval"]["auc"][-1]}
