"""LightGBM's words -> the neutral words of `gangplank.Run`: a boosting round is an epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import lightgbm
from lightgbm.callback import CallbackEnv

from gangplank import Run


class PrometheusExporter:
    """A LightGBM callback that exports every boosting round, and how the training stands.

        with PrometheusExporter("127.0.0.1:9091", "churn") as exporter:
            lightgbm.train(params, data, 500, valid_sets=[data, validation], callbacks=[exporter])

    LightGBM tells its callbacks of rounds, and of nothing else: that early stopping has ended a training, or an
    exception, is what the `with` tells. Give each training its own.

    Args:
        address: a Pushgateway (`host:port`), or what else `gangplank.Run` knows.
        job: the `job` label.
        info: labels for `gangplank_run_info`.
        options: those of `gangplank.Run`.
    """

    def __init__(
        self, address: str | Sequence[str], job: str, *, info: Mapping[str, object] | None = None, **options: Any
    ) -> None:
        about = {"framework": "lightgbm", "framework_version": lightgbm.__version__}
        self._run = Run(address, job, info={**about, **(info or {})}, **options)
        # Before early_stopping (30), after which nobody hears of a round. On the object: LightGBM looks nowhere else.
        self.before_iteration, self.order = False, 25

    def __call__(self, env: CallbackEnv) -> None:
        """Record the round that has ended."""
        with self._run.guard("recording the round"):
            if env.iteration == env.begin_iteration:
                self._run.finish(RuntimeError("nobody said how the training before ended"))
                self._run = self._run.phase("train")
                self._run.start(epochs=env.end_iteration, epoch=env.begin_iteration)
            self._run.record(metrics(env), epoch=env.iteration, learning_rates=learning_rate(env.params))
            if env.iteration + 1 == env.end_iteration:
                self._run.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._run.finish(error)


def metrics(env: CallbackEnv) -> dict[str, float]:
    """Return the evaluations: `auc` of the training data, `val_auc` of the first validation set.

    Further sets carry their names (`val_holdout_auc`), and what `lightgbm.cv` evaluates has a `val_auc_stdv` besides.
    """
    results = env.evaluation_result_list or []
    training = ("train", getattr(env.model, "_train_data_name", None))  # in `cv`, and in `train`
    first = next((data for data, *_ in results if data not in training), None)
    found = {}
    for data, metric, value, _, *deviation in results:
        name = metric if data in training else f"val_{metric}" if data == first else f"val_{data}_{metric}"
        found[name] = value
        if deviation and deviation[0] is not None:
            found[f"{name}_stdv"] = deviation[0]
    return found


def learning_rate(params: Mapping[str, Any]) -> float | None:
    """Return the learning rate that the user gave, by any of its names."""
    return next((params[name] for name in ("learning_rate", "shrinkage_rate", "eta") if name in params), None)
