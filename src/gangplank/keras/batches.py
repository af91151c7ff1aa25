"""The batches of a fit: how long they take, and what Keras logs of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from gangplank import Run


class Batches:
    """Notes each batch in its run.

    A batch lasts from its beginning to that of the next, or to the end of the training part of the epoch: the beginning
    is never dispatched to another thread, the end may be, and come late and out of order. With `steps_per_execution`
    Keras tells of several steps at once, which then have taken the same time each.

    Args:
        run: the run.
        position: optimizer steps before its first epoch, and how many batches make one; None where nobody knows.
        at_once: batches of one execution.
        planned: batches of an epoch, or None where nobody knows.
    """

    def __init__(self, run: Run, *, position: tuple[int, int] | None, at_once: int, planned: int | None) -> None:
        self._run = run
        self._position = position
        self._at_once = at_once
        self._planned = planned
        self._began: tuple[int, float] | None = None  # the first batch under way, and since when
        self._ended = -1  # the newest batch of the epoch that has ended

    def begin(self, batch: int) -> None:
        """Note that the batches before this one have ended."""
        now = time.monotonic()
        self._note(batch, now)
        self._began = batch, now

    def end(self, batch: int, logs: Mapping[str, Any] | None) -> None:
        """Note what is logged up to this batch of the epoch."""
        self._ended = max(self._ended, batch)
        step = None
        if self._position is not None:
            before, each = self._position
            step = before + self._within(batch + 1) // each
        self._run.step(logs, step=step, prefix="batch_")

    def end_training(self) -> None:
        """Note that the batches under way were the last of the epoch; the second time, nothing."""
        # Data of unknown length end with a batch that has begun, and is none.
        if self._began is not None and (self._planned is not None or self._ended >= self._began[0]):
            self._note(self._within(self._began[0] + self._at_once), time.monotonic())
        self._began, self._ended = None, -1

    def end_epoch(self, step: int | None) -> None:
        """Note how many steps the optimizer has made, where that is known."""
        self.end_training()
        if self._position is not None and step is not None:
            self._position = step, self._position[1]

    def _within(self, batch: int) -> int:
        """Return a number of batches that is no more than the epoch has: the last execution may have fewer."""
        return batch if self._planned is None else min(batch, self._planned)

    def _note(self, following: int, now: float) -> None:
        first, since = self._began or (following, now)
        for _ in range(following - first):
            self._run.step(duration=(now - since) / (following - first))
