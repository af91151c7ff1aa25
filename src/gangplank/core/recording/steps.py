"""The steps of a run between two pushes: noted in microseconds, on any thread."""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gangplank.core.types import StepTimes

# Upper bounds of a step's duration in seconds: from those of a small model on an accelerator to those of a whole epoch.
DURATION_EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

# The noted steps are counted at this interval, in seconds, so that only few are kept.
_COUNT_INTERVAL = 0.5


class StepMetrics(NamedTuple):
    """The metrics of one step, as `Run.step` was given them.

    Attributes:
        logged: by the framework's names.
        prefix: of these names.
        computed: by the adapter.
        step: which step it was, None if it had no number.
    """

    logged: Mapping[str, Any]
    prefix: str
    computed: Mapping[str, Any]
    step: int | None


_NO_METRICS = StepMetrics({}, "", {}, None)


class Steps:
    """The steps of one run; they may come from several threads, and out of order.

    Args:
        every: take the metrics of every n-th step; None takes those of no step.
        interval: seconds between two calls of `is_due`; at most half a second is used.

    Attributes:
        is_due: returns whether to push what was noted.
    """

    def __init__(self, every: int | None, interval: float) -> None:
        self._every = every
        self._interval = min(interval, _COUNT_INTERVAL)
        self.is_due: Callable[[], bool] = bool
        # A step is only appended here, which needs no lock; it is counted later.
        self._noted: deque[tuple[int | None, float | None, float | None, float | None]] = deque()
        self._newest = _NO_METRICS
        self._unnumbered = 0  # steps that were noted without a number
        self._next = 0  # the first step whose metrics are wanted next
        self._next_count = 0.0  # when to count again, and to check whether a push is due; 0 before the first step
        self.unrecorded = False  # whether any step was noted since the last snapshot
        self._lock = threading.RLock()  # a signal handler may end the run in the middle of a step
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
        *,
        computed: Mapping[str, Any] | None = None,
    ) -> bool:
        """Note one step; its arguments are those of `Run.step`. Returns whether a push is due."""
        # Converted here, so that counting cannot fail.
        if step is not None and step.__class__ is not int:
            step = int(step)
        if duration is not None and duration.__class__ is not float:
            duration = float(duration)
        if data_wait is not None or forward is not None:
            data_wait = None if data_wait is None else float(data_wait)
            forward = None if forward is None else float(forward)
        self._noted.append((step, duration, data_wait, forward))
        if metrics is not None and self._every is not None:
            numbered = step
            if step is None:
                step = self._unnumbered = self._unnumbered + 1
            if step >= self._next:  # otherwise it is not wanted, or a newer one came before
                self._next = step + self._every
                self._newest = StepMetrics(metrics, prefix, computed or {}, numbered)
        self.unrecorded = True  # last, because another thread may make a snapshot in between
        now = time.monotonic()
        if now < self._next_count:
            return False
        with self._lock:
            self._count()
            is_first, self._next_count = not self._next_count, now + self._interval
        # The first in any case: a push follows it even if no other step does.
        return is_first or self.is_due()

    def _count(self) -> None:
        """Count the noted steps; the caller holds the lock."""
        noted = self._noted
        while noted:
            step, duration, data_wait, forward = noted.popleft()
            if step is not None and (self._position is None or step > self._position):
                self._position = step
            if duration is not None and 0 <= duration < math.inf:  # otherwise it is no duration
                self._counts[bisect_left(DURATION_EDGES, duration)] += 1
                self._seconds += duration
            if data_wait is not None and 0 <= data_wait < math.inf:
                self._data_wait = (self._data_wait or 0.0) + data_wait
            if forward is not None and 0 <= forward < math.inf:
                self._forward = (self._forward or 0.0) + forward

    @property
    def position(self) -> int | None:
        """Optimizer steps so far, None if that is unknown."""
        with self._lock:
            self._count()
            return self._position

    def epoch_has_ended(self, step: int | None) -> None:
        """Replace the position that the steps counted by the exact one, which is known when an epoch ends."""
        if step is not None and self._next_count:
            with self._lock:
                self._count()
                self._position = step
                if self._every is not None and self._next > step + self._every:  # the steps counted too far
                    self._next = step + 1

    def newest(self) -> StepMetrics:
        """Return the metrics that were taken last, and forget them."""
        newest, self._newest, self.unrecorded = self._newest, _NO_METRICS, False
        return newest

    def times(self) -> StepTimes | None:
        """Return the durations of the steps so far, None if no step has one."""
        if not self._next_count:  # there was no step
            return None
        with self._lock:
            self._count()
            if not any(self._counts) and self._data_wait is None and self._forward is None:
                return None
            return StepTimes(DURATION_EDGES, tuple(self._counts), self._seconds, self._data_wait, self._forward)
