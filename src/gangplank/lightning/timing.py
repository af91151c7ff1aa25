"""When batches, validations and epochs begin and end, and how many samples they hold."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from gangplank.lightning.batches import size_of


class Step(NamedTuple):
    """A batch that was trained on.

    Attributes:
        step: optimizer steps after it.
        duration: seconds from its beginning to its end.
        data_wait: seconds from the end of the one before to its beginning.
        forward: seconds from its beginning to the backward pass; None without one.
    """

    step: int
    duration: float
    data_wait: float
    forward: float | None


class Stopwatch:
    """Times one run; a wait for data ends with a batch, and never holds a validation."""

    def __init__(self) -> None:
        self._forward: float | None = None
        self._step: Step | None = None
        self.begin()

    def begin(self) -> None:
        """An epoch or an evaluation begins."""
        self._began = self._free = time.monotonic()
        self._batch_began: float | None = None  # of a batch under way
        self._paused = 0.0
        self.batches = 0
        self.samples: int | None = 0

    def begin_batch(self) -> None:
        """A batch is there, and is about to be trained on."""
        self._batch_began = time.monotonic()
        self._forward = None

    def begin_backward(self) -> None:
        """The first backward pass of the batch begins."""
        if self._forward is None and self._batch_began is not None:
            self._forward = time.monotonic() - self._batch_began

    def end_batch(self, batch: Any, step: int) -> None:
        """The batch has been trained on; one that never began was skipped, since the loader has put None there."""
        if self._batch_began is None:
            return
        now = time.monotonic()
        self._step = Step(step, now - self._batch_began, self._batch_began - self._free, self._forward)
        self._free, self._batch_began = now, None
        self.count(batch)

    def count(self, batch: Any) -> None:
        """Count a batch and its samples; the samples are not known once they are not known of one batch."""
        self.batches += 1
        size = size_of(batch)
        self.samples = None if size is None or self.samples is None else self.samples + size

    def take_step(self) -> Step | None:
        """Return the batch that has ended, once."""
        step, self._step = self._step, None
        return step

    def pause(self) -> None:
        """A validation begins inside the epoch."""
        self._pause_began = time.monotonic()

    def go_on(self) -> None:
        """The validation has ended."""
        self._free = time.monotonic()
        self._paused += self._free - self._pause_began

    @property
    def seconds(self) -> float:
        """Seconds since the beginning, without validations."""
        return time.monotonic() - self._began - self._paused
