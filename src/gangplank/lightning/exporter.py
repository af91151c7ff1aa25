"""A Lightning callback that reports each fit, validation, test and prediction to a `gangplank.Run`."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Unpack

from gangplank import AdapterExporter, ConfigurationError, Destination, Exporter, ExporterOptions, Run
from gangplank._torch.sharding import Sharding
from gangplank.lightning.callback import VERSION, Callback
from gangplank.lightning.phases import Evaluation, Fit
from gangplank.lightning.plan import planned_steps

# Strategies that shard a model, by name: importing them needs packages that may not be installed.
_SHARD = frozenset({"DeepSpeedStrategy", "FSDPStrategy", "ModelParallelStrategy"})


class TrainTestExporter(AdapterExporter, Callback):  # type: ignore[misc]  # mypy does not follow Lightning
    """Pushes what a module logs in `fit`, `validate`, `test` and `predict`, and the run's state, to a Pushgateway.

        exporter = gangplank.lightning.TrainTestExporter("127.0.0.1:9091", "digits")
        trainer = Trainer(max_epochs=10, callbacks=[exporter])
        trainer.fit(model, datamodule=digits)
        trainer.test(model, datamodule=digits)

    Each of the four is a phase: `train` (with the validation inside a fit), `validate`, `test` and `predict`. One
    exporter serves any number of them, in the Trainers of `lightning.pytorch` and `pytorch_lightning`. The exported
    values are those of `trainer.callback_metrics`, as float64, under their names there.

    Of several processes, the one with rank 0 exports, and no hook calls a collective operation: what the module reduces
    (`self.log(..., sync_dist=True)`) is exported reduced, anything else is the value of rank 0. With
    `GANGPLANK_DISABLED=1` in the environment it does nothing.

    Args:
        pgw_addr: the Pushgateway (`host:port`), or any other destination: `address` of `gangplank.Exporter`.
        job: the `job` label; any text that is not empty.
        gradient_norm: export the total 2-norm of the gradients of the newest optimizer step, before they are clipped,
            as `gradient_norm` (with several optimizers as `gradient_norm_0`, ... in their order). If `metrics` is
            given, it must contain that name. It costs time in every step.
        options: those of `gangplank.Exporter`.

    Raises:
        ConfigurationError: an argument cannot work; the message suggests a fix.
    """

    # The newest fit, and the identity of its trainer; with that, it is deleted.
    _newest: tuple[int, Callable[[], Fit | None]] = 0, lambda: None

    def __init__(
        self,
        pgw_addr: str | Destination | Sequence[str | Destination],
        job: str,
        *,
        gradient_norm: bool = False,
        **options: Unpack[ExporterOptions],
    ) -> None:
        super().__init__()
        framework = {"framework": "lightning", "framework_version": VERSION, "backend": "torch"}
        try:
            self.export_with(Exporter(pgw_addr, job, framework=framework, **options))
        finally:
            del pgw_addr, options  # a traceback may show them, with a password
        if not isinstance(gradient_norm, bool):
            raise ConfigurationError(f"gradient_norm={gradient_norm!r:.50}: give True or False")
        self._gradient_norm = gradient_norm
        self._sharding = Sharding("weights, parameter counts and gradient norms")

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Start the run of a fit; Lightning does not call this for a fit that has nothing left to do."""
        with self.guard("beginning the fit"):
            run = self._start(
                trainer,
                "train",
                epochs=trainer.max_epochs if (trainer.max_epochs or -1) > 0 else None,
                epoch=trainer.current_epoch,
                steps=self._planned_steps(trainer),
                step=trainer.global_step,
            )
            if run.open:
                weights = self._readable(trainer, pl_module)
                fit = Fit(run, trainer, weights, per_rank=self._exporter.per_rank, norm=self._gradient_norm)
                self.calls[trainer] = fit
                self._newest = id(trainer), weakref.ref(fit)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Record the epoch before: only now has Lightning computed all of its metrics."""
        if (fit := self._fit(trainer)) is not None:
            with self.guard("recording the epoch"):
                fit.begin_epoch()

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Time the batch."""
        if (fit := self._fit(trainer)) is not None:
            try:
                fit.begin_batch()
            except Exception:  # a guard around each batch would cost more than what it guards
                with self.guard("timing a batch"):
                    raise

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Any) -> None:
        """Time the forward pass."""
        if (fit := self._fit(trainer)) is not None:
            fit.begin_backward()

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Compute the gradient norm, if it is wanted."""
        if self._gradient_norm and (fit := self._fit(trainer)) is not None:
            with self.guard("computing the gradient norm"):
                fit.begin_optimizer_step(optimizer)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Time the batch, and count its samples."""
        if (fit := self._fit(trainer)) is not None:
            try:
                fit.end_batch(batch)
            except Exception:
                with self.guard("timing a batch"):
                    raise

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """End the training part of the epoch; the module's own hook, which may log, is called after this."""
        if (fit := self._fit(trainer)) is not None:
            with self.guard("ending the epoch"):
                fit.end_epoch()

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Note that a checkpoint is being saved; it has been written when the next hook is called."""
        if (fit := self._fit(trainer)) is not None:
            with self.guard("noting a checkpoint"):
                fit.begin_checkpoint(checkpoint["global_step"])

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Record the last epoch; checkpoint callbacks, which save the last checkpoint, are called after this."""
        if (fit := self._fit(trainer)) is not None:
            with self.guard("recording the epoch"):
                fit.end_training()

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """End the run as finished, with the weights that the other callbacks left."""
        if (fit := self._fit(trainer)) is not None:
            del self.calls[trainer]
            with self.guard("noting a checkpoint"):
                fit.end()
            self.finish_run(fit.run, weights=fit.weights(), processes=trainer.world_size)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Start the run of a validation, unless it is inside a fit; the sanity check before a fit is not exported."""
        if trainer.state.fn == "validate":
            self._begin_evaluation(trainer, "validate", pl_module)
        elif (fit := self._fit(trainer)) is not None and not trainer.sanity_checking:
            with self.guard("beginning the validation"):
                fit.begin_validation()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Record the validation."""
        self._end_evaluation(trainer)
        if (fit := self._fit(trainer)) is not None and not trainer.sanity_checking:
            with self.guard("recording the validation"):
                fit.end_validation()

    def on_test_start(self, trainer: Any, pl_module: Any) -> None:
        """Start the run of a test."""
        self._begin_evaluation(trainer, "test", pl_module)

    def on_test_end(self, trainer: Any, pl_module: Any) -> None:
        """Record the test or prediction."""
        self._end_evaluation(trainer)

    on_predict_end = on_test_end

    def on_predict_start(self, trainer: Any, pl_module: Any) -> None:
        """Start the run of a prediction, which reads no weights."""
        self._begin_evaluation(trainer, "predict", None)

    def on_predict_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Count the samples of an evaluation outside of a fit."""
        if (evaluation := self._evaluation(trainer)) is not None:
            with self.guard("counting the samples"):
                evaluation.count(batch)

    on_validation_batch_end = on_test_batch_end = on_predict_batch_end

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """End the run of an evaluation that is complete; the run of a fit has ended already."""
        evaluation = self._evaluation(trainer)
        if evaluation is not None and evaluation.ended:
            del self.calls[trainer]
            self.finish_run(evaluation.run, processes=trainer.world_size)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """End the run as failed, or as interrupted after Ctrl-C and SIGTERM, with the last complete epoch."""
        call = self.calls.pop(trainer, None)
        if call is not None:
            with call.run.guard("recording the epoch", raises=False):  # the user's exception is the one to raise
                if isinstance(call, Fit):
                    call.fail()
            call.run.finish(exception)

    def __getstate__(self) -> dict[str, Any]:
        # Lightning sets `log` and `log_dict`, methods of the module, on every callback.
        left_out = ("log", "log_dict", "_newest")
        return {name: value for name, value in super().__getstate__().items() if name not in left_out}

    def _fit(self, trainer: Any) -> Fit | None:
        of, newest = self._newest
        if of == id(trainer):  # otherwise, each hook of a step would take a microsecond more
            return newest()
        call = self.calls.get(trainer)
        return call if isinstance(call, Fit) else None

    def _evaluation(self, trainer: Any) -> Evaluation | None:
        call = self.calls.get(trainer)
        return call if isinstance(call, Evaluation) else None

    def _start(self, trainer: Any, phase: str, **how: Any) -> Run:
        if (call := self.calls.pop(trainer, None)) is not None:
            call.run.finish(RuntimeError("another fit or evaluation has begun"))
        run = self.new_run(phase)
        run.start(**how, rank=trainer.global_rank, alive=partial(_is_running, weakref.proxy(trainer)))
        return run

    def _planned_steps(self, trainer: Any) -> int | None:
        with self.guard("reading the planned steps"):
            return planned_steps(trainer)
        return None

    def _readable(self, trainer: Any, module: Any) -> Any:
        kinds = [kind.__name__ for kind in type(trainer.strategy).__mro__]
        return self._sharding.readable(module, by=kinds[0], sharded=not _SHARD.isdisjoint(kinds))

    def _begin_evaluation(self, trainer: Any, phase: str, module: Any) -> None:
        with self.guard("beginning the evaluation"):
            run = self._start(trainer, phase)
            if run.open:
                self.calls[trainer] = Evaluation(run, trainer, self._readable(trainer, module))

    def _end_evaluation(self, trainer: Any) -> None:
        if (evaluation := self._evaluation(trainer)) is not None:
            with self.guard("recording the evaluation"):
                evaluation.end()


def _is_running(trainer: Any) -> bool:
    """Return whether a trainer has not been interrupted: another callback may keep its exception from us."""
    return bool(trainer.state.status == "running")
