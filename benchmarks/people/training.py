"""A training that notes what its run says."""

from __future__ import annotations

import itertools
import time
from types import TracebackType
from typing import Any, Self

import gangplank
from benchmarks.people.words import Said, Words
from gangplank import Exporter

_LOSSES = itertools.count(1)


class Training:
    """A run whose words are noted.

    Args:
        words: where they are noted.
        exporter: makes the run.
        phase: of the run.
    """

    def __init__(self, words: Words, exporter: Exporter, phase: str) -> None:
        self._words = words
        self.exporter = exporter
        self.run = exporter.run(phase)
        self.said: Said

    def start(self, **how: Any) -> Self:
        """Start the run."""
        began = time.monotonic()
        self.run.start(epochs=9, **how)
        labels = dict(self.run.group.labels)
        self.said = Said((labels["job"], labels["phase"]), self.run.name)
        self._words.note(self.said, began)
        return self

    def record(self) -> None:
        """Record an epoch, with a loss that no other has."""
        began, loss = time.monotonic(), next(_LOSSES) / 8
        self.run.record({"loss": loss})
        self.said.loss = loss
        self._words.note(self.said, began)

    def step(self) -> None:
        """Note a step, which is pushed if a push is due."""
        began, self.said.step = time.monotonic(), (self.said.step or 0) + 1
        self.run.step({"loss": next(_LOSSES) / 8}, step=self.said.step, duration=0.01)
        self._words.note(self.said, began, surely=False)

    def finish(self) -> None:
        """End a run that is not in a `with` block: its last page does not replace that of another run."""
        self.run.finish()
        self.said.state = "finished"

    def forget(self) -> None:
        """Delete the run, which ends it, as above."""
        self.said.state = "failed"
        del self.run

    def __enter__(self) -> Self:
        self.run.__enter__()
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        began = time.monotonic()
        self.run.__exit__(kind, error, traceback)
        self.said.state = str(gangplank.Outcome.of(error))
        self._words.note(self.said, began)
