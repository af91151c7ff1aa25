"""An XGBoost callback that reports each training to a `gangplank.Run`; a boosting round is an epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import xgboost
from xgboost import collective
from xgboost.callback import EarlyStopping, EvaluationMonitor, TrainingCallback, TrainingCheckPoint

from gangplank import AdapterExporter, ConfigurationError, Destination, Exporter, ExporterOptions, watch_caller
from gangplank.xgboost.caller import calling_container
from gangplank.xgboost.training import Training


class TrainTestExporter(AdapterExporter, TrainingCallback):  # type: ignore[misc]  # mypy does not follow XGBoost
    """Pushes the evaluations of every boosting round, and the run's state, to a Pushgateway.

        with gangplank.xgboost.TrainTestExporter("127.0.0.1:9091", "churn") as exporter:
            xgboost.train(params, data, 500, evals=[(data, "train"), (held_out, "eval")], callbacks=[exporter])

    It is a callback of `xgboost.train`, of `xgboost.cv` and of the estimators for scikit-learn. Each training is a run
    whose epochs are the boosting rounds; training that continues a model (`xgb_model=`) goes on where that was. One
    exporter serves any number of trainings. XGBoost calls no hook after an exception: the `with` block ends the run.

    Of several processes (`xgboost.collective`), the one with rank 0 exports. With `GANGPLANK_DISABLED=1` in the
    environment nothing is exported.

    Args:
        pgw_addr: the Pushgateway (`host:port`), or any other destination: `address` of `gangplank.Exporter`.
        job: the `job` label; any text that is not empty.
        rounds: how many rounds each training plans, without those that its model has already; by default, what
            `xgboost.train` or `xgboost.cv` was called with.
        options: those of `gangplank.Exporter`.

    Raises:
        ConfigurationError: an argument cannot work; the message suggests a fix.
    """

    def __init__(
        self,
        pgw_addr: str | Destination | Sequence[str | Destination],
        job: str,
        *,
        rounds: int | None = None,
        **options: Unpack[ExporterOptions],
    ) -> None:
        super().__init__()
        framework = {"framework": "xgboost", "framework_version": xgboost.__version__}
        try:
            self.export_with(Exporter(pgw_addr, job, framework=framework, **options))
        finally:
            del pgw_addr, options  # a traceback may show them, with a password
        if rounds is not None and (not isinstance(rounds, int) or rounds < 1):
            raise ConfigurationError(f"rounds={rounds!r:.50}: give the number of boosting rounds of each training")
        self._rounds = rounds

    def before_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        """Start the run with the first round, since a training may have none; time each round."""
        with self.guard("beginning the round"):
            container, rounds = calling_container()
            training = self.calls.get(container or model)
            if training is None:
                training = self.calls[container or model] = self._begin(model, evals_log, self._rounds or rounds)
            others = container.callbacks if container else [None]
            training.begin_round(model, rate_may_change=any(type(other) not in _CHANGE_NO_RATE for other in others))
        return False

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        """Record the round."""
        with self.guard("recording the round"):
            if (training := self.calls.get(calling_container()[0] or model)) is not None:
                training.end_round(epoch)
        return False

    def after_training(self, model: Any) -> Any:
        """Record the last round, if that is missing, and end the run."""
        with self.guard("ending the training"):
            if (training := self.calls.pop(calling_container()[0] or model, None)) is not None:
                training.end(model)
        return model

    def _begin(self, model: Any, evals_log: Mapping[str, Any], rounds: int | None) -> Training:
        """Start the run of a training."""
        before = model.num_boosted_rounds()  # on every rank, as all that reads the model
        run = self.new_run("train")
        run.start(
            epochs=None if rounds is None else before + rounds,
            epoch=before,
            alive=watch_caller("xgboost", "train", "cv"),
            rank=collective.get_rank() if collective.get_world_size() > 1 else None,
        )
        return Training(run, before, evals_log)


# Callbacks that do not set the learning rate; any other one, also one derived from these, may.
_CHANGE_NO_RATE = (TrainTestExporter, EarlyStopping, EvaluationMonitor, TrainingCheckPoint)
