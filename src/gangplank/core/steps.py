"""What the steps of a run say between two pushes: noted in microseconds, wherever they are called from."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from gangplank.core.snapshot import StepTimes

# Upper bounds of a step's duration in seconds: from a small model on an accelerator to an epoch-like step.
DURATION_EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Steps:
    """The steps of one run; frameworks may call from several threads, and out of order.

    Args:
        every: take the metrics of every n-th step; None for none.
        push_interval: seconds between two times that they are due.
    """

    def __init__(self, every: int | None, push_interval: float) -> None:
        self._every = every
        self._push_interval = push_interval
        self._lock = threading.RLock()  # a signal handler may end the run in the middle of a step
        self._counts = [0] * (len(DURATION_EDGES) + 1)
        self._seconds = 0.0
        self._data_wait: float | None = None
        self._forward: float | None = None
        self._newest: tuple[Mapping[str, Any], str] | None = None
        self._position: int | None = None
        self._seen = -1  # the highest step whose metrics there were
        self._next = 0  # the step whose metrics are wanted next
        self._due = 0.0
        self.unsaid = False  # whether anything was noted since the last snapshot

    def note(
        self,
        metrics: Mapping[str, Any] | None,
        step: int | None,
        duration: float | None,
        data_wait: float | None,
        forward: float | None,
        prefix: str,
    ) -> bool:
        """Note one step, as `Run.step` is told; returns whether it is time to push."""
        with self._lock:
            self.unsaid = True
            if duration is not None:
                self._counts[bisect_left(DURATION_EDGES, duration)] += 1
                self._seconds += duration
            if data_wait is not None:
                self._data_wait = (self._data_wait or 0.0) + data_wait
            if forward is not None:
                self._forward = (self._forward or 0.0) + forward
            if step is not None:
                self._position = step if self._position is None else max(step, self._position)
            if metrics is not None and self._every is not None:
                number = self._seen + 1 if step is None else step
                if number >= self._seen:  # else a newer one has been here
                    self._seen = number
                    if number >= self._next:
                        self._next = number + self._every
                        self._newest = (metrics, prefix)
            now = time.monotonic()
            if now < self._due:
                return False
            self._due = now + self._push_interval
            return True

    @property
    def position(self) -> int | None:
        """Optimizer steps so far, where somebody says."""
        return self._position

    def epoch_has_ended(self, step: int | None) -> None:
        """Forget the position within the epoch: the epoch says it better."""
        with self._lock:
            self._position = self._position if step is None else step

    def newest(self) -> tuple[Mapping[str, Any], str]:
        """Return the metrics that were taken last, and what goes in front of their names; once."""
        with self._lock:
            newest, self._newest, self.unsaid = self._newest, None, False
        return newest or ({}, "")

    def times(self) -> StepTimes | None:
        """Return how long the steps took so far, or None where nobody says."""
        with self._lock:
            if not any(self._counts) and self._data_wait is None and self._forward is None:
                return None
            return StepTimes(DURATION_EDGES, tuple(self._counts), self._seconds, self._data_wait, self._forward)
