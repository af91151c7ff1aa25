"""The batches of a fit: their durations and logs."""

from __future__ import annotations

import time
import weakref
from collections import deque
from collections.abc import Mapping
from typing import Any

from gangplank import Run

# More ends of batches than Keras' pool has threads, so the last batch of an epoch is among the newest ones.
_NEWEST_ENDS = 64


class Batches:
    """Reports the batches of a fit to its run.

    A batch lasts from its beginning to that of the next, or to the end of the training part of the epoch. Keras calls
    `begin` on the training thread, but may call `end` on another one, late and out of order. With
    `steps_per_execution`, Keras reports the batches of an execution at once, which are taken to have lasted equally
    long. The last execution of an epoch may have fewer of them, or none; how many is known when the epoch has ended.

    `begin` and `end` are called for each batch, when the CPU caches are cold, so they make as few calls as possible.

    Args:
        run: of the fit. It is not kept alive.
        position: batches that the optimizer has taken before the fit, and batches per step; None if unknown.
        at_once: batches per execution.
        planned: batches per epoch; None if unknown.
    """

    def __init__(self, run: Run, *, position: tuple[int, int] | None, at_once: int, planned: int | None) -> None:
        self._run = weakref.ref(run)
        self._done: int | None
        self._done, self._each = position or (None, 1)
        self._at_once = at_once
        self._planned = planned
        self._began: tuple[int, float] | None = None  # the first batch of the current execution, and its time
        self._ends: deque[int] = deque(maxlen=_NEWEST_ENDS)  # batches of the epoch that have ended
        # Executions that are over: their first batch, and the seconds they took. The last ones may not have been full.
        self._over: deque[tuple[int, float]] = deque()
        self._durations: deque[float] = deque()  # of batches, not yet reported to the run

    def begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Begin a batch; those before it have ended."""
        now = time.monotonic()
        if self._began is not None:
            first, since = self._began
            if batch - first == 1:
                self._durations.append(now - since)
            else:
                self._over.append((first, now - since))
                self._count_full(but=1)
        self._began = batch, now

    def end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Report the logs up to this batch of the epoch, and how long a batch before it took."""
        run = self._run()
        if run is None:
            return
        self._ends.append(batch)
        step = self._done
        if step is not None:
            planned = self._planned
            step = (step + (batch + 1 if planned is None or batch < planned else planned)) // self._each
        try:
            duration = self._durations.popleft()
        except IndexError:  # there is none, or another thread has reported it
            duration = None
        run.step(logs, step=step, duration=duration)
        if self._durations:
            self._report_durations(run)

    def end_training(self) -> None:
        """End the training part of the epoch, and with it the current batches; called again, it does nothing."""
        if self._began is not None:
            self._over.append((self._began[0], time.monotonic() - self._began[1]))
            self._began = None
        self._count_full(but=2)
        if (run := self._run()) is not None:
            self._report_durations(run)

    def end_epoch(self, done: int | None) -> None:
        """End the epoch, after which the optimizer has taken so many batches; None if unknown."""
        self.end_training()
        # On TensorFlow, the end of data of unknown length begins an execution that has no batch, and does not end.
        if self._over and self._over[-1][0] > max(self._ends, default=-1):
            self._over.pop()
        self._count_full(but=1)
        if self._over:
            first, seconds = self._over.pop()
            count = self._in_last_execution(first, done)
            self._durations.extend([seconds / count] * count)
        if (run := self._run()) is not None:
            self._report_durations(run)
        self._ends.clear()
        if self._done is not None and done is not None:
            self._done = done

    def _count_full(self, *, but: int) -> None:
        """Keep the durations of the batches of all executions that are over, but the newest ones."""
        while len(self._over) > but:
            _, seconds = self._over.popleft()
            self._durations.extend([seconds / self._at_once] * self._at_once)

    def _in_last_execution(self, first: int, done: int | None) -> int:
        """Return how many batches the last execution of the epoch had, which began with the batch `first`."""
        planned = self._at_once if self._planned is None else max(1, min(self._at_once, self._planned - first))
        if done is None or self._done is None:
            return planned
        taken = done - self._done - first
        # An optimizer may take fewer batches than there are: one that scales the loss skips some.
        return min(taken, self._at_once) if taken > 0 else planned

    def _report_durations(self, run: Run) -> None:
        while self._durations:
            try:
                run.step(duration=self._durations.popleft())
            except IndexError:  # another thread has reported it
                return
