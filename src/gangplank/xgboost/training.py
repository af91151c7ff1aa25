"""What one training reports to its run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gangplank import Run

_LEARNING_RATE = re.compile(r'"learning_rate":\s*"([^"]+)"')


class Training:
    """A training that has begun. It keeps nothing of XGBoost's alive but the evaluations.

    Args:
        run: of the training, which has started.
        before: the rounds that its model had before.
        evals_log: the evaluations, to which XGBoost adds those of each round.
    """

    def __init__(self, run: Run, before: int, evals_log: Mapping[str, Any]) -> None:
        self.run = run
        self._before = before
        self._evals_log = evals_log
        self._recorded = 0  # rounds of this training
        self._rate: float | None = None

    def begin_round(self, model: Any, *, rate_may_change: bool) -> None:
        """Time the round from here, and read the learning rate: XGBoost sets that of a round when the one before ends.

        Reading it takes 0.1 ms, as long as a round of very small data.
        """
        self.run.begin_epoch()
        if self._recorded:  # before, the training starts up
            self.run.begin_activity("train")
        if self._rate is None or rate_may_change:
            self._rate = learning_rate(model)

    def end_round(self, epoch: int) -> None:
        """Record the round; what follows until the next one is the work of other callbacks."""
        self._recorded = epoch + 1
        self.run.record(evaluations(self._evals_log), epoch=self._before + epoch, learning_rates=self._rate)
        self.run.begin_activity("other")

    def end(self, model: Any) -> None:
        """End the run, with the last round even if a callback in front of the exporter kept it to itself."""
        lengths = [len(values) for metrics in self._evals_log.values() for values in metrics.values()]
        rounds = max(lengths, default=0) or model.num_boosted_rounds() - self._before
        if rounds > self._recorded:
            self.end_round(rounds - 1)
        self.run.finish()


def evaluations(evals_log: Mapping[str, Any]) -> dict[str, float]:
    """Return those of the newest round, by the names that XGBoost prints; those of `xgboost.cv` are mean and std."""
    found = {}
    for data, metrics in evals_log.items():
        for metric, values in metrics.items():
            name, value = f"{data}-{metric}", values[-1]
            if isinstance(value, tuple):
                found[f"{name}-mean"], found[f"{name}-std"] = value
            else:
                found[name] = value
    return found


def learning_rate(model: Any) -> float | None:
    """Return the learning rate of a Booster, or of the first fold of `xgboost.cv`; None if its kind has none."""
    booster = model.cvfolds[0].bst if hasattr(model, "cvfolds") else model
    found = _LEARNING_RATE.search(booster.save_config())
    return float(found[1]) if found else None
