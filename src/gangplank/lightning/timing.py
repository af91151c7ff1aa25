"""The time that steps, validations and epochs take, and what the time of a run goes to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple


class Step(NamedTuple):
    """A training step.

    Attributes:
        step: optimizer steps after it.
        duration: seconds from its beginning to its end.
        data_wait: seconds that it waited for its data.
        forward: seconds from its beginning to the backward pass; None without one.
    """

    step: int
    duration: float
    data_wait: float
    forward: float | None


class Stopwatch:
    """Times the epochs of a run and their steps, and begins the activities of the run.

    The run is in `startup` until its first step has ended. From then on it is in `train` during a step, in `data_wait`
    from the beginning of an epoch, or the end of a step or a validation, to the next step, and in `other` between
    epochs. A checkpoint is being saved until the next call here. The methods are called on the thread of the training.

    Args:
        begin_activity: of the run, which has started.
    """

    def __init__(self, begin_activity: Callable[[str], None]) -> None:
        self._begin = begin_activity
        self._stepped = False  # whether the first step has ended
        self._saving = False
        self._forward: float | None = None
        self._step: Step | None = None
        self._begin_timing()

    def _begin_timing(self) -> None:
        self._began = time.monotonic()
        self._waits: float | None = self._began  # since when; None if a checkpoint was saved since then
        self._step_began: float | None = None  # the current one
        self._paused = 0.0

    def begin_epoch(self) -> None:
        """Begin an epoch."""
        self._begin_timing()
        self._begin_wait()

    def begin_step(self) -> None:
        """Begin a step, whose data has been loaded."""
        self._step_began = time.monotonic()
        self._forward = None
        self._begin_training()

    def begin_backward(self) -> None:
        """Note that the first backward pass of the step begins."""
        if self._saving:
            self._begin_training()
        if self._forward is None and self._step_began is not None:
            self._forward = time.monotonic() - self._step_began

    def end_step(self, step: int) -> bool:
        """End the step, after which there were so many optimizer steps; return whether one had begun."""
        if self._step_began is None:
            return False
        now = time.monotonic()
        waited = 0.0 if self._waits is None else self._step_began - self._waits
        self._step = Step(step, now - self._step_began, waited, self._forward)
        self._waits, self._step_began = now, None
        self._stepped = True
        self._begin_wait()
        return True

    def take_step(self) -> Step | None:
        """Return the step that has ended, the first time that it is asked for."""
        step, self._step = self._step, None
        return step

    def begin_validation(self) -> None:
        """Stop the time of the epoch: a validation begins inside it."""
        self._pause_began = time.monotonic()
        self._saving = False
        self._begin("validate")

    def end_validation(self, *, goes_on: bool) -> None:
        """Resume the time of the epoch; say whether steps of it are still to come."""
        self._waits = time.monotonic()
        self._paused += self._waits - self._pause_began
        if goes_on:
            self._begin_wait()
        else:
            self.begin_other()

    def begin_checkpoint(self) -> None:
        """Note that a checkpoint is being saved; no hook may tell when that ends, so the wait for data is unknown."""
        if self._step_began is None:
            self._waits = None
        self._saving = True
        self._begin("checkpoint")

    def begin_other(self) -> None:
        """Note that the training part of the epoch has ended."""
        self._saving = False
        self._begin("other")

    @property
    def seconds(self) -> float:
        """Seconds since the beginning of the epoch, without validations."""
        return time.monotonic() - self._began - self._paused

    def _begin_training(self) -> None:
        self._saving = False
        self._begin("train" if self._stepped else "startup")

    def _begin_wait(self) -> None:
        self._saving = False
        self._begin("data_wait" if self._stepped else "startup")
