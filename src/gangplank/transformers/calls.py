"""What one training, or one evaluation or prediction outside of one, reports to its run."""

from __future__ import annotations

import contextlib
import logging
import math
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import SaveStrategy

from gangplank import Run
from gangplank.transformers.caller import Caller

logger = logging.getLogger("gangplank")

# The means over the whole training, which the Trainer logs at its end under the names that belong to the newest values.
_MEANS = {f"train_{name}": f"mean_{name}" for name in ("loss", "samples_per_second", "steps_per_second")}
_AT_THE_END = {"train_loss", "train_runtime", "train_steps_per_second"}


class Call:
    """A call of a Trainer that has a run. It keeps nothing of the call alive.

    Args:
        run: of the call.
        is_running: returns whether the Trainer is still in the call; None if that cannot be told.
    """

    def __init__(self, run: Run, is_running: Callable[[], bool] | None) -> None:
        self.run = run
        self._is_running = is_running

    def start(self, args: TrainingArguments, **how: Any) -> None:
        """Start the run."""
        rank = args.process_index if args.world_size > 1 else None
        self.run.start(**how, alive=self._is_running, rank=rank)

    def is_over(self) -> bool:
        """Return whether the call is over, as far as can be told."""
        return self._is_running is not None and not self._is_running()


class Evaluation(Call):
    """An evaluation or a prediction outside of a training; arguments as for `Call`.

    Args:
        caller: the call.
        earlier: metrics that are shown as well.

    Attributes:
        done: whether all its data sets have been evaluated.
    """

    def __init__(
        self, run: Run, is_running: Callable[[], bool] | None, caller: Caller, earlier: Mapping[str, Any]
    ) -> None:
        super().__init__(run, is_running)
        self.done = False
        self._override = caller.override
        self._kind = caller.phase, caller.prefix, caller.sets
        self._evaluated: set[str] = set()  # prefixes of the data sets that have been evaluated
        self._metrics = dict(earlier)
        self._begin_set(caller)

    def goes_on(self, caller: Caller) -> bool:
        """Return whether this is the call: another one that is alike may follow one that was broken off."""
        if self.done or self.is_over() or self._kind != (caller.phase, caller.prefix, caller.sets):
            return False
        if caller.loop is not None and self._loop() is not caller.loop:  # the next data set
            is_in_another = len(self._evaluated) < self._begun
            if is_in_another or caller.prefixes[0] in self._evaluated:
                return False
            self._begin_set(caller)
        return True

    def _begin_set(self, caller: Caller) -> None:
        self._begun = len(self._evaluated) + 1
        self._loop: Callable[[], Any] = (lambda: None) if caller.loop is None else weakref.ref(caller.loop)

    def in_the_same(self, caller: Caller) -> Mapping[str, Any]:
        """Return the metrics if a method of a derived class evaluates again: nobody tells when it has ended."""
        return self._metrics if self.done and self._override is not None and self._override == caller.override else {}

    def record(self, caller: Caller, metrics: Mapping[str, Any]) -> None:
        """Record the metrics of one data set."""
        prefix = f"{caller.prefix}_"
        self._metrics |= {name.removeprefix(prefix): value for name, value in metrics.items() if name != "epoch"}
        self.run.record(self._metrics)
        self._evaluated.add(caller.prefixes[0])
        self.done = len(self._evaluated) >= caller.sets


class Fit(Call):
    """A call of `train`, with the evaluations inside it; arguments as for `Call`.

    Args:
        waits: report how long each step waited for its data.

    Attributes:
        stepped: whether a step has ended.
        planned: the planned steps, None before the run has started.
    """

    def __init__(self, run: Run, is_running: Callable[[], bool] | None, *, waits: bool) -> None:
        super().__init__(run, is_running)
        self.stepped = False
        self.planned: int | None = None  # steps
        self._waits = waits
        self._began = self._free = 0.0  # when the newest step began, and when the one before was done with
        self._is_in_step = False
        self._logs, self._logged = False, 0  # whether the Trainer is about to log the newest step, and which it did
        self._evaluated = 0  # data sets, in the current evaluation
        self._rest = "other"  # what goes on if nothing else does
        self._warned = False

    def begin(self, args: TrainingArguments, state: TrainerState, loader: Any) -> None:
        """Start the run, unless nothing is left to do, or fill in a new plan."""
        if state.global_step < state.max_steps != self.planned:
            self.planned = state.max_steps
            epoch = int(state.epoch or 0) if is_sized(loader) else None
            whole = args.max_steps <= 0 and float(args.num_train_epochs).is_integer()
            epochs = int(args.num_train_epochs) if whole and epoch is not None else None
            self.start(args, epochs=epochs, epoch=epoch, steps=state.max_steps, step=state.global_step)

    def begin_epoch(self) -> None:
        """Begin an epoch: its first batches are loaded."""
        self.run.begin_epoch()
        self._rest = "data_wait"
        self._go_on(self._rest)

    def begin_step(self) -> None:
        """Begin a step, whose batches have been loaded."""
        self._began = time.monotonic()
        self._is_in_step = True
        if self.stepped:
            self.run.begin_activity("train")

    def end_step(self, args: TrainingArguments, state: TrainerState, control: TrainerControl) -> None:
        """End a step; the Trainer logs, evaluates and saves after this."""
        now = time.monotonic()
        self._is_in_step = False
        if self.planned is None:  # nothing was left to do, and the Trainer makes a step all the same
            return
        data_wait = self._began - self._free if self._waits and self.stepped else None
        self.run.step(step=state.global_step, duration=now - self._began, data_wait=data_wait)
        self.stepped = True
        if control.should_log or control.should_evaluate or control.should_save:
            self.end_training(state, control)
        else:
            self._free = now
            self.run.begin_activity("data_wait")

    def end_epoch(self, state: TrainerState, model: Any) -> None:
        """Record the end of an epoch, if it is a whole one."""
        self._rest = "other"
        epoch = round(state.epoch or 0)
        if epoch and math.isclose(state.epoch or 0, epoch, rel_tol=1e-6):
            self.run.record(epoch=epoch - 1, step=state.global_step, weights=model)

    def end_training(self, state: TrainerState, control: TrainerControl) -> None:
        """Note that the Trainer logs, evaluates and saves next, if it does."""
        self._logs = control.should_log and state.global_step > self._logged
        self._go_on(
            "train" if self._logs else self._after_log(control)
        )  # to log is to wait for the device, which trains

    def log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Mapping[str, Any]
    ) -> None:
        """Record what the Trainer, or the user, logs."""
        metrics = {name: value for name, value in logs.items() if name not in ("epoch", "learning_rate")}
        if logs.keys() >= _AT_THE_END:
            metrics = {_MEANS.get(name, name): value for name, value in metrics.items()}
        self._warn_if_hidden(args, metrics)
        self.run.record(metrics, step=state.global_step, learning_rates=logs.get("learning_rate"))
        if self._logs:
            self._logs, self._logged = False, state.global_step
            self._go_on(self._after_log(control))

    def evaluate(self) -> None:
        """Note that an evaluation goes on."""
        self._go_on("validate")

    def end_evaluation(self, args: TrainingArguments, control: TrainerControl, sets: int) -> None:
        """Note that one of the data sets has been evaluated; the Trainer saves after the last one."""
        self._evaluated += 1
        if self._evaluated >= sets:
            self._evaluated = 0
            # With "best", whether it saves is decided after this.
            rest = "other" if args.save_strategy == SaveStrategy.BEST else self._rest
            self._go_on("train" if self._is_in_step else "checkpoint" if control.should_save else rest)

    def save(self, state: TrainerState) -> None:
        """Note that a checkpoint has been saved."""
        self.run.checkpoint(state.global_step)
        self._go_on(self._rest)

    def _after_log(self, control: TrainerControl) -> str:
        return "validate" if control.should_evaluate else "checkpoint" if control.should_save else self._rest

    def _go_on(self, activity: str) -> None:
        if not self._is_in_step:
            self._free = time.monotonic()
        if self.stepped:
            self.run.begin_activity(activity)

    def _warn_if_hidden(self, args: TrainingArguments, metrics: Mapping[str, Any]) -> None:
        if self._warned or not args.logging_nan_inf_filter:
            return
        with contextlib.suppress(TypeError, ValueError):  # the user may log anything
            loss, norm = float(metrics.get("loss", math.nan)), float(metrics.get("grad_norm", 0.0))
            if not math.isfinite(loss) or math.isfinite(norm):
                return
            self._warned = True
            logger.warning(
                "The gradient norm is %s while the logged loss is %g: with logging_nan_inf_filter=True, the Trainer "
                "leaves losses that are NaN or infinite out of the one that it logs",
                *(norm, loss),
            )


def is_sized(loader: Any) -> bool:
    """Return whether a data loader knows its length: otherwise its epochs end wherever it does."""
    try:
        return len(loader) > 0
    except TypeError:
        return False
