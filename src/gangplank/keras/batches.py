"""The batches of a fit: how long they take, and what Keras logs of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from gangplank import Run


class Batches:
    """Notes each batch of the fit that has been started, and no batch of any other.

    A batch lasts from its beginning to that of the next, or to the end of the training part of the epoch: the beginning
    is never dispatched to another thread, the end may be, and come late and out of order. With `steps_per_execution`
    Keras tells of several steps at once, which then have taken the same time each.

    Keras calls `begin` and `end` in each batch. What is around them there leaves no cache warm, so that they call as
    little as they can. A copy has no fit.
    """

    def __init__(self) -> None:
        self._run: Run | None = None

    def start(self, run: Run, *, position: tuple[int, int] | None, at_once: int, planned: int | None) -> None:
        """Note the batches of a fit from now on.

        Args:
            run: of the fit.
            position: optimizer steps before it, and how many batches make one; None where nobody knows.
            at_once: batches of one execution.
            planned: batches of an epoch, or None where nobody knows.
        """
        self._done: int | None
        self._done, self._each = position or (None, 1)
        self._at_once = at_once
        self._planned = planned
        self._began: tuple[int, float] | None = None  # the first batch under way, and since when
        self._ended = -1  # the newest batch of the epoch that has ended
        self._durations: deque[float] = deque()  # of batches that the run has not been told of
        self._run = run

    def stop(self) -> None:
        """The fit is over."""
        self._run = None

    def begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Note that the batches before this one have ended."""
        if self._run is None:
            return
        now = time.monotonic()
        if self._began is not None:
            first, since = self._began
            if batch - first == 1:
                self._durations.append(now - since)
            else:
                self._time(batch, now)
        self._began = batch, now

    def end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Tell the run what is logged up to this batch of the epoch, and how long those before it took."""
        run = self._run
        if run is None:
            return
        self._ended = max(self._ended, batch)
        step = self._done
        if step is not None:
            planned = self._planned
            step += (batch + 1 if planned is None or batch < planned else planned) // self._each
        try:
            duration = self._durations.popleft()
        except IndexError:  # none, or another thread has told it
            duration = None
        run.step(logs, step=step, duration=duration)
        if self._durations:
            self._tell_durations(run)

    def end_training(self) -> None:
        """Note that the batches under way were the last of the epoch; the second time, nothing."""
        if self._run is None:
            return
        # Data of unknown length end with a batch that has begun, and is none.
        if self._began is not None and (self._planned is not None or self._ended >= self._began[0]):
            following = self._began[0] + self._at_once
            # The last execution may have fewer.
            self._time(following if self._planned is None else min(following, self._planned), time.monotonic())
        self._tell_durations(self._run)
        self._began, self._ended = None, -1

    def end_epoch(self, step: int | None) -> None:
        """Note how many steps the optimizer has made, where that is known."""
        self.end_training()
        if self._run is not None and self._done is not None and step is not None:
            self._done = step

    def __getstate__(self) -> dict[str, Any]:
        return {"_run": None}

    def _time(self, following: int, now: float) -> None:
        """Note how long the batches before this one took."""
        if self._began is not None and following > self._began[0]:
            count = following - self._began[0]
            self._durations.extend([(now - self._began[1]) / count] * count)

    def _tell_durations(self, run: Run) -> None:
        while self._durations:
            try:
                run.step(duration=self._durations.popleft())
            except IndexError:  # another thread has told it
                return
