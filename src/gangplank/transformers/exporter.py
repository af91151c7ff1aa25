"""A callback of Transformers' Trainer that reports each training, evaluation and prediction to a `gangplank.Run`."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack

import transformers
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from gangplank import AdapterExporter, Destination, Exporter, ExporterOptions, watch_caller
from gangplank._torch.sharding import Sharding
from gangplank.transformers.caller import Caller, find_caller
from gangplank.transformers.calls import Evaluation, Fit, is_sized


class TrainTestExporter(AdapterExporter, TrainerCallback):  # type: ignore[misc]  # mypy does not follow Transformers
    """Pushes what a Trainer logs, its evaluations and predictions, and the run's state, to a Pushgateway.

        exporter = gangplank.transformers.TrainTestExporter("127.0.0.1:9091", "topics")
        trainer = Trainer(model, args, train_dataset=train, eval_dataset=held_out, callbacks=[exporter])
        trainer.train()
        trainer.evaluate()

    A training, with the evaluations inside it, is phase `train`; an evaluation outside of one is `validate`, or `test`
    if its `metric_key_prefix` begins with `test`; a prediction is `predict`. One exporter serves any number of them, of
    any number of Trainers, also those that are derived from it. The exported values are those that the Trainer logs.

    Of several processes, the one with rank 0 exports, and no hook calls a collective operation. With
    `GANGPLANK_DISABLED=1` in the environment it does nothing.

    Args:
        pgw_addr: the Pushgateway (`host:port`), or any other destination: `address` of `gangplank.Exporter`.
        job: the `job` label; any text that is not empty.
        options: those of `gangplank.Exporter`.

    Raises:
        ConfigurationError: an argument cannot work; the message suggests a fix.
    """

    # The newest training, and the identity of its state, which is a new one in each.
    _newest: tuple[int, Callable[[], Fit | None]] = 0, lambda: None

    def __init__(
        self,
        pgw_addr: str | Destination | Sequence[str | Destination],
        job: str,
        **options: Unpack[ExporterOptions],
    ) -> None:
        super().__init__()
        framework = {
            "framework": "transformers",
            "framework_version": transformers.__version__,
            "backend": "torch",
        }
        try:
            self.export_with(Exporter(pgw_addr, job, framework=framework, **options))
        finally:
            del pgw_addr, options  # a traceback may show them, with a password
        self._sharding = Sharding("weights and parameter counts")

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """Begin a training; its run starts with the first epoch or evaluation, since nothing may be left to do."""
        with self.guard("beginning the training"):
            caller = find_caller()
            if caller is None or caller.training is None:
                return
            fit = self._fit_of(caller)
            if fit is not None and fit.stepped:  # the Trainer begins again, with smaller batches
                fit.run.finish(sys.exception() or RuntimeError("the training begins again"))
                fit = None
            fit = fit or self._begin(caller)
            self._newest = id(state), weakref.ref(fit)
            if args.eval_on_start:
                fit.begin(args, state, more.get("train_dataloader"))

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """Start the run, if this is the first epoch."""
        if (fit := self._fit(state)) is not None:
            with self.guard("beginning the epoch"):
                fit.begin(args, state, more.get("train_dataloader"))
                fit.begin_epoch()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Time the step."""
        if (fit := self._fit(state)) is not None:
            if fit.planned is None:  # the user has added the exporter in the middle of the training
                with self.guard("beginning the training"):
                    fit.begin(args, state, more.get("train_dataloader"))
            fit.begin_step()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Report the step."""
        if (fit := self._fit(state)) is not None:
            try:
                fit.end_step(args, state, control)
            except Exception:  # a guard around each step would cost more than what it guards
                with self.guard("reporting a step"):
                    raise

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Record the epoch, if it is a whole one."""
        with self.guard("recording the epoch"):
            caller = find_caller()
            if (fit := self._fit_of(caller)) is not None:
                if is_sized(more.get("train_dataloader")):
                    fit.end_epoch(state, self._readable(caller, more))
                fit.end_training(state, control)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Record what is logged in a training; what is logged outside of one comes again in `on_evaluate`."""
        with self.guard("recording the logs"):
            if (fit := self._fit_of(find_caller())) is not None:
                fit.begin(args, state, more.get("train_dataloader"))
                if fit.run.open:
                    fit.log(args, state, control, more.get("logs") or {})

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """Start the run of an evaluation or a prediction, unless it is inside a training."""
        with self.guard("beginning the evaluation"):
            caller = find_caller()
            if (fit := self._fit_of(caller)) is not None:
                fit.begin(args, state, more.get("train_dataloader"))
                fit.evaluate()
            elif caller is not None and caller.training is None:
                self._evaluation(caller, args)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Record an evaluation or a prediction, and end its run, unless it is inside a training."""
        with self.guard("recording the evaluation"):
            caller = find_caller()
            if caller is None:
                return
            if (fit := self._fit_of(caller)) is not None:
                fit.end_evaluation(args, control, caller.sets)
            elif caller.training is None:
                evaluation = self._evaluation(caller, args)
                evaluation.record(caller, more.get("metrics") or {})
                if evaluation.done:
                    weights = None if evaluation.run.phase == "predict" else self._readable(caller, more)
                    self.finish_run(evaluation.run, weights=weights, processes=args.world_size)

    on_predict = on_evaluate

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Note a checkpoint."""
        with self.guard("noting a checkpoint"):
            if (fit := self._fit_of(find_caller())) is not None:
                fit.save(state)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """End the run, with the weights that are left: those of the best checkpoint, if it was loaded."""
        with self.guard("ending the training"):
            caller = find_caller()
            fit = self._fit_of(caller)
            if caller is None or fit is None:
                return
            del self.calls[caller.training]
            if caller.is_pruned:
                fit.run.finish(SystemExit("the trial was pruned"))
            elif fit.run.open:
                self.finish_run(fit.run, weights=self._readable(caller, more), processes=args.world_size)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_newest"}

    def _fit(self, state: TrainerState) -> Fit | None:
        """Return the training that is in a step."""
        of, newest = self._newest
        if of == id(state):  # otherwise, each hook of a step would take microseconds more
            return newest()
        caller = find_caller()
        if caller is None or caller.training is None:
            return None
        fit = self._fit_of(caller) or self._begin(caller)
        self._newest = id(state), weakref.ref(fit)
        return fit

    def _begin(self, caller: Caller) -> Fit:
        """Begin a training."""
        run, is_running = self.new_run("train"), watch_caller("transformers", "train")
        self.calls[caller.training] = fit = Fit(run, is_running, waits=self._exporter.per_rank)
        return fit

    def _fit_of(self, caller: Caller | None) -> Fit | None:
        """Return the training that calls."""
        fit = None if caller is None or caller.training is None else self.calls.get(caller.training)
        return fit if isinstance(fit, Fit) else None

    def _evaluation(self, caller: Caller, args: TrainingArguments) -> Evaluation:
        """Return the evaluation or prediction that calls, whose run has started."""
        evaluation = self.calls.get(caller.trainer)
        if not isinstance(evaluation, Evaluation) or not evaluation.goes_on(caller):
            earlier: Mapping[str, Any] = {}
            if isinstance(evaluation, Evaluation):
                earlier = evaluation.in_the_same(caller)
                evaluation.run.finish(sys.exception() or RuntimeError("another evaluation has begun"))
            is_running = watch_caller("transformers", "evaluate", "predict", outermost=True)
            evaluation = Evaluation(self.new_run(caller.phase), is_running, caller, earlier)
            self.calls[caller.trainer] = evaluation
            evaluation.start(args)
        return evaluation

    def _readable(self, caller: Caller | None, more: Mapping[str, Any]) -> Any:
        trainer = None if caller is None else caller.trainer
        with self.guard("reading the model"):
            by = next(
                (one for one in ("DeepSpeed", "FSDP") if getattr(trainer, f"is_{one.lower()}_enabled", False)), ""
            )
            return self._sharding.readable(more.get("model"), by=by or "DTensor", sharded=bool(by))
        return None
