"""Small data for XGBoost, and a training that says nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xgboost

from gangplank.testing import MemorySink
from gangplank.xgboost import TrainTestExporter

PARAMS: Mapping[str, Any] = {
    "objective": "binary:logistic",
    "eval_metric": ["logloss", "auc"],
    "max_depth": 3,
    "subsample": 0.8,
    "nthread": 1,
    "seed": 1,
}


def table(rows: int = 120, seed: int = 1) -> tuple[Any, Any]:
    """Return features, and a label that they tell with some noise."""
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(rows, 4))
    return features, (features[:, 0] + draw.normal(size=rows) > 0).astype(int)


def matrix(rows: int = 120, seed: int = 1) -> Any:
    return xgboost.DMatrix(*table(rows, seed))


def train(rounds: int, *callbacks: Any, results: dict[str, Any] | None = None, **options: Any) -> Any:
    """Train with evaluations on the training data and on others, `train` and `eval`, unless the test says otherwise."""
    data = matrix()
    chosen = {"evals": [(data, "train"), (matrix(60, seed=2), "eval")], **options}
    params = {**PARAMS, **chosen.pop("params", {})}
    return xgboost.train(
        params, data, rounds, evals_result=results, verbose_eval=False, callbacks=list(callbacks), **chosen
    )


def exporter(memory: MemorySink, **options: Any) -> TrainTestExporter:
    """Return an exporter to the memory, each page of which is awaited."""
    return TrainTestExporter("memory", "churn", sink=memory, ignore_exceptions=False, **options)


class Calls(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """Calls something in a round, before it or behind it, and stops the training if that returns True."""

    def __init__(self, call: Callable[[], Any], *, epoch: int = 1, before: bool = False) -> None:
        super().__init__()
        self.call, self.epoch, self.before = call, epoch, before

    def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        return self.before and epoch == self.epoch and self.call() is True

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        return not self.before and epoch == self.epoch and self.call() is True
