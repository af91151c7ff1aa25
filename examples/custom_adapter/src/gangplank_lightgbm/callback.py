"""A LightGBM callback that exports to Prometheus; a boosting round is an epoch."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import lightgbm
from lightgbm.callback import CallbackEnv

from gangplank import AdapterExporter, Destination, Exporter, ExporterOptions, Run


class PrometheusExporter(AdapterExporter):
    """A LightGBM callback that exports every boosting round, and the state of the run.

        with PrometheusExporter("127.0.0.1:9091", "churn") as exporter:
            lightgbm.train(params, data, 500, valid_sets=[data, validation], callbacks=[exporter])

    LightGBM calls back for each round, but not when training ends early: the `with` block ends the run after early
    stopping or an exception. One exporter serves any number of trainings, also nested and in several threads.

    Args:
        address: the Pushgateway (`host:port`), or any other destination that `gangplank.Exporter` takes.
        job: the `job` label.
        options: those of `gangplank.Exporter`.
    """

    def __init__(
        self, address: str | Destination | Sequence[str | Destination], job: str, **options: Unpack[ExporterOptions]
    ) -> None:
        framework = {"framework": "lightgbm", "framework_version": lightgbm.__version__}
        self.export_with(Exporter(address, job, framework=framework, **options))
        # Before early_stopping (30), which raises, so that the callbacks after it miss the last round.
        self.order = 25

    def __call__(self, env: CallbackEnv) -> None:
        """Record the round that has ended, in the run of its model: each call of LightGBM makes one."""
        with self.guard("recording the round"):
            run = self.calls.get(env.model)
            if run is None or env.iteration == env.begin_iteration:
                run = self._begin(env)
            run.record(metrics(env), epoch=env.iteration, learning_rates=learning_rate(env.params))
            if env.iteration + 1 == env.end_iteration:
                run.finish()

    def _begin(self, env: CallbackEnv) -> Run:
        for earlier in filter(None, (reference() for reference in self.calls.keyrefs())):
            end_if_stopped(self.calls[earlier], vars(earlier))
        run = self.calls[env.model] = self.new_run("train")
        # Nobody may keep the model, and without it the run would have failed.
        weakref.finalize(env.model, end_if_stopped, run, vars(env.model))
        run.start(epochs=env.end_iteration, epoch=env.begin_iteration)
        return run


def end_if_stopped(run: Run, model: Mapping[str, Any]) -> None:
    """End the run if its training has stopped early: LightGBM only sets an attribute of its model then."""
    if model["best_iteration"] > 0:
        run.finish()


def metrics(env: CallbackEnv) -> dict[str, float]:
    """Return the evaluations: `auc` of the training data, `val_auc` of the first validation set.

    Further sets keep their names (`val_holdout_auc`); with `lightgbm.cv` there is also `val_auc_stdv`.
    """
    results = env.evaluation_result_list or []
    training = ("train", getattr(env.model, "_train_data_name", None))  # the name in `cv`, and in `train`
    first = next((data for data, *_ in results if data not in training), None)
    found = {}
    for data, metric, value, _, *deviation in results:
        name = metric if data in training else f"val_{metric}" if data == first else f"val_{data}_{metric}"
        found[name] = value
        if deviation and deviation[0] is not None:
            found[f"{name}_stdv"] = deviation[0]
    return found


def learning_rate(params: Mapping[str, Any]) -> float | None:
    """Return the learning rate that the user set, under any of its names; None for the default."""
    return next((params[name] for name in ("learning_rate", "shrinkage_rate", "eta") if name in params), None)
