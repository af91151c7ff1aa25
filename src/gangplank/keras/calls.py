"""What one fit, or one evaluation outside of a fit, reports to its run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import keras

from gangplank import Run
from gangplank.keras.batches import Batches
from gangplank.keras.checkpoints import Checkpoints
from gangplank.keras.logs import is_loss, stopped_on_nan, values_of, with_rate
from gangplank.keras.model_facts import ModelFacts
from gangplank.keras.rank import rank_of_process

T = TypeVar("T")


class Call:
    """A call of Keras' that has a run. It keeps nothing of the call alive.

    Args:
        run: of the call, which has not started.
        is_running: returns whether Keras is still in the call; None if it is a training loop of the user's.

    The model is None, wherever it is passed, if it is unknown.
    """

    def __init__(self, run: Run, is_running: Callable[[], bool] | None) -> None:
        self.run = run
        self._is_running = is_running

    def _start(self, **how: Any) -> None:
        self.run.start(**how, alive=self._is_running, rank=self._read("the rank", rank_of_process))

    def _read(self, what: str, read: Callable[[], T]) -> T | None:
        """Return what a function reads, None if it raises: a problem with one value loses no other."""
        with self.run.guard(f"reading {what}"):
            return read()
        return None


class Evaluation(Call):
    """An evaluation outside of a fit; arguments as for `Call`."""

    def start(self) -> None:
        """Start the run."""
        self._start()

    def end(self, model: keras.Model | None, logs: Mapping[str, Any] | None) -> None:
        """Record the results, and end the run."""
        self.run.record(values_of(logs))
        self.run.finish(weights=model)


class Fit(Call):
    """A fit, with the validation inside it; arguments as for `Call`.

    Attributes:
        started: whether the run has.
        batches: reports the batches, once the run has started, if they are wanted.
    """

    def __init__(self, run: Run, is_running: Callable[[], bool] | None) -> None:
        super().__init__(run, is_running)
        self.started = False
        self.batches: Batches | None = None
        self._checkpoints = Checkpoints(())
        self._ended: tuple[int | None] | None = None  # the step of the epoch before
        self._facts: ModelFacts | None = None
        self._epoch_began = time.monotonic()
        self._before = "train"  # the activity before an evaluation
        self._training: _TrainingPart | None = None  # of the current epoch, once its validation has begun

    def start(
        self,
        model: keras.Model | None,
        params: Mapping[str, Any],
        epoch: int,
        callbacks: Iterable[keras.callbacks.Callback],
    ) -> None:
        """Start the run with its first epoch, since a fit that resumes may have none left.

        Args:
            model: that is fitted.
            params: what Keras tells callbacks about the fit: the planned `epochs`, and the batches (`steps`) in each.
            epoch: the first one.
            callbacks: of the fit.
        """
        self.started = True
        if model is not None:
            self._facts = self._read("the model", lambda: ModelFacts(model))
        position = self._fact("the step", ModelFacts.position)
        epochs, batches = params.get("epochs"), params.get("steps")
        planned = step = None
        if position is not None:
            taken, each = position
            step = taken // each
            if epochs is not None and batches is not None:
                planned = (taken + (epochs - epoch) * batches) // each
        self._start(epochs=epochs, epoch=epoch, steps=planned, step=step)
        self._checkpoints = self._read("the callbacks", lambda: Checkpoints(callbacks)) or self._checkpoints
        if self.run.open and self.run.exports_steps:
            self.batches = Batches(
                self.run,
                position=position,
                at_once=getattr(model, "steps_per_execution", 1),
                planned=batches,
            )

    def begin_epoch(self) -> None:
        """Time the epoch from here."""
        self._note_checkpoint()
        # Batches tell when the first of them has ended.
        if self.batches is None or self.run.activities.current != "startup":
            self.run.begin_activity("train")
        self.run.begin_epoch()
        self._epoch_began = time.monotonic()
        self._training = None

    def end_epoch(self, model: keras.Model | None, epoch: int, logs: Mapping[str, Any] | None) -> None:
        """Record the epoch."""
        self.run.begin_activity("other")
        training = self._training or self._training_part()
        step = self._fact("the step", ModelFacts.steps)
        rates = None if step is None else self._fact("the learning rate", ModelFacts.learning_rates)
        if self.batches is not None:
            self.batches.end_epoch(self._fact("the batches", ModelFacts.batches))
        # An evaluation that this callback did not see resets the count of samples, and the mean loss with it.
        is_whole = training.loss is not None and is_loss(training.loss, logs)
        metrics, logged_rates = with_rate(values_of(logs), rates)
        self.run.record(
            metrics,
            epoch=epoch,
            step=step,
            samples=training.samples if is_whole else None,
            seconds=training.seconds,
            learning_rates=logged_rates,
            parameters=self.run.parameters,  # they do not change after the first epoch of a compiled model
            weights=model,
        )
        self._ended = (step,)

    def begin_validation(self) -> None:
        """End the training part of the epoch: a validation begins, or an evaluation inside the fit."""
        self._before = self.run.activities.current
        self.run.begin_activity("validate")
        if self.batches is not None:
            self.batches.end_training()
        if self._training is None:
            self._training = self._training_part()

    def end_validation(self, *, is_own: bool) -> None:
        """Note that the fit's own validation has ended, and with it the epoch; or another evaluation inside it."""
        self.run.activities.resume("other" if is_own else self._before)

    def end(self, model: keras.Model | None, logs: Mapping[str, Any] | None) -> None:
        """End the run, with the weights that the other callbacks left."""
        self._note_checkpoint()
        on_nan = self._read("the loss", lambda: stopped_on_nan(model, logs))
        self.run.finish(FloatingPointError("the loss is not finite") if on_nan else None, weights=model)

    def _note_checkpoint(self) -> None:
        """Note the checkpoint that a callback, before or behind this one, has saved after the epoch before."""
        if self._ended is not None:
            (step,), self._ended = self._ended, None
            if self._read("the checkpoints", self._checkpoints.saved):
                self.run.checkpoint(step)

    def _fact(self, what: str, fact: Callable[[ModelFacts], T]) -> T | None:
        facts = self._facts
        return None if facts is None else self._read(what, lambda: fact(facts))

    def _training_part(self) -> _TrainingPart:
        seconds = time.monotonic() - self._epoch_began
        samples, loss = self._fact("the samples", ModelFacts.samples) or (None, None)
        return _TrainingPart(samples, loss, seconds)


class _TrainingPart(NamedTuple):
    """An epoch without its validation.

    Attributes:
        samples: it trained on; None if unknown.
        loss: their mean loss; None if unknown.
        seconds: it took.
    """

    samples: float | None
    loss: float | None
    seconds: float
