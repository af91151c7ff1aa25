"""What the steps of a run say between two pushes: noted in microseconds, wherever they are called from."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from typing import Any

from gangplank.core.snapshot import StepTimes

# Upper bounds of a step's duration in seconds: from a small model on an accelerator to an epoch-like step.
DURATION_EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

# Seconds between two times that steps are counted, so that few wait for it.
_BETWEEN_LOOKS = 0.5


class Steps:
    """The steps of one run; frameworks may call from several threads, and out of order.

    Args:
        every: take the metrics of every n-th step; None for none.
        push_interval: seconds between two times that they are due.
    """

    def __init__(self, every: int | None, push_interval: float) -> None:
        self._every = every
        self._push_interval = push_interval
        # A step only leaves its word here, which needs no lock; it is counted by and by.
        self._noted: deque[tuple[int | None, float | None, float | None, float | None]] = deque()
        self._newest: tuple[Mapping[str, Any], str] | None = None
        self._unnumbered = 0  # steps that came without their number
        self._next = 0  # the step whose metrics are wanted next
        self._looks = 0.0  # when to count, and to see whether it is time to push
        self.unsaid = False  # whether anything was noted since the last snapshot
        self._lock = threading.RLock()  # a signal handler may end the run in the middle of a step
        self._due = 0.0
        self._position: int | None = None
        self._counts = [0] * (len(DURATION_EDGES) + 1)
        self._seconds = 0.0
        self._data_wait: float | None = None
        self._forward: float | None = None

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
        # At the door, so that counting them cannot fail.
        if step is not None and step.__class__ is not int:
            step = int(step)
        if duration is not None and duration.__class__ is not float:
            duration = float(duration)
        if data_wait is not None or forward is not None:
            data_wait = None if data_wait is None else float(data_wait)
            forward = None if forward is None else float(forward)
        self._noted.append((step, duration, data_wait, forward))
        if metrics is not None and self._every is not None:
            if step is None:
                step = self._unnumbered = self._unnumbered + 1
            if step >= self._next:  # else it is not wanted, or a newer one has been here
                self._next = step + self._every
                self._newest = (metrics, prefix)
        self.unsaid = True  # last: another thread may take all in between
        now = time.monotonic()
        return now >= self._looks and self._look(now)

    def _look(self, now: float) -> bool:
        with self._lock:
            self._count()
            is_due = now >= self._due
            if is_due:
                self._due = now + self._push_interval
            self._looks = min(self._due, now + _BETWEEN_LOOKS)
            return is_due

    def _count(self) -> None:
        """Count what the steps have left; whoever calls holds the lock."""
        noted = self._noted
        while noted:
            step, duration, data_wait, forward = noted.popleft()
            if step is not None and (self._position is None or step > self._position):
                self._position = step
            if duration is not None:
                self._counts[bisect_left(DURATION_EDGES, duration)] += 1
                self._seconds += duration
            if data_wait is not None:
                self._data_wait = (self._data_wait or 0.0) + data_wait
            if forward is not None:
                self._forward = (self._forward or 0.0) + forward

    @property
    def position(self) -> int | None:
        """Optimizer steps so far, where somebody says."""
        with self._lock:
            self._count()
            return self._position

    def epoch_has_ended(self, step: int | None) -> None:
        """Forget the position within the epoch: the epoch says it better."""
        if step is not None and self._looks:
            with self._lock:
                self._count()
                self._position = step
                if self._every is not None and self._next > step + self._every:  # the steps have counted too far
                    self._next = step + 1

    def newest(self) -> tuple[Mapping[str, Any], str]:
        """Return the metrics that were taken last, and what goes in front of their names; once."""
        newest, self._newest, self.unsaid = self._newest, None, False
        return newest or ({}, "")

    def times(self) -> StepTimes | None:
        """Return how long the steps took so far, or None where nobody says."""
        if not self._looks:  # there was none
            return None
        with self._lock:
            self._count()
            if not any(self._counts) and self._data_wait is None and self._forward is None:
                return None
            return StepTimes(DURATION_EDGES, tuple(self._counts), self._seconds, self._data_wait, self._forward)
