"""What is measured of one method."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any

from gangplank.predict import counting, waiting
from gangplank.predict.checking import Checks
from gangplank.predict.families import MOST_NOTES, Families, Note, Notes
from gangplank.predict.series import Series

# The positional and the keyword arguments of a call.
Arguments = tuple[tuple[Any, ...], Mapping[str, Any]]


class Meter:
    """Counts and times the calls of one method.

    A call notes what there is to count, which takes it a few microseconds; counting takes longer, and is done when
    somebody reads the families. A call that raises counts as an error and as nothing else, so that times divided by
    counts are true. Whatever goes wrong here is logged once, and the call does not notice it.

    Args:
        families: what the calls are noted in.
        series: what counts them.
        count_samples: returns how many samples an output has; by default, `counting.count_samples`.
        checks: of inputs and outputs for drift.
        inputs: returns the inputs to be checked, of the arguments of a call.

    Attributes:
        begun: the note that a call goes on.
        returned_array: counts an array that a call has returned: with its shape and the seconds, a note.
        only_counts: whether nothing is done with an output but to count its samples in the usual way.
    """

    def __init__(
        self,
        families: Families,
        series: Series,
        *,
        count_samples: Callable[[Any], int] | None,
        checks: Checks | None,
        inputs: Callable[[Arguments], Any],
    ) -> None:
        self.families = families
        self.begun = (series.begun,)
        self.returned_array = series.returned_array
        self.only_counts = count_samples is None and checks is None
        self._series = series
        self._count_samples = count_samples
        self._checks = checks
        self._inputs = inputs

    def begin(self) -> Notes:
        """Note that a call goes on; return where to note what becomes of it."""
        notes = self.families.notes
        if len(notes) >= MOST_NOTES:
            self.families.catch_up()
        notes.append(self.begun)  # last, as in `calls`
        return notes

    def leave(self, notes: Notes) -> None:
        """Note that a call does not go on, and is not counted."""
        notes.append((self._series.left,))

    def fail(self, notes: Notes, error: BaseException) -> None:
        """Note that a call has raised."""
        notes.append((self._series.failed, type(error)))

    def end(self, notes: Notes, started: float, output: Any, arguments: Arguments) -> None:
        """Note that a call has returned: at once, or when its output is computed."""
        took = perf_counter() - started
        note: Note | None = (self._series.left,)
        try:
            samples = self._count(output)
            if samples is None:
                return
            wait = waiting.still_computing(output)
            if wait is None:
                note = self._series.returned, samples, took
            elif waiting.queue.put(partial(self._end_later, notes, started, wait, samples)):
                note = None  # it goes on
            else:
                note = self._series.untimed, samples, took
            if self._checks is not None:
                self._checks.put(self._inputs(arguments), output)
        except waiting.NotComputed:
            pass
        except Exception as error:  # noqa: BLE001  the user's count_samples may raise anything, an odd output too
            self._series.report(error)
        finally:
            if note is not None:
                notes.append(note)

    def end_stream(self, notes: Notes, started: float, samples: int) -> None:
        """Note that a stream has ended."""
        notes.append((self._series.returned, samples, perf_counter() - started))
        try:
            if self._checks is not None:
                self._checks.drop("the outputs come one by one, and are not kept")
        except Exception as error:  # noqa: BLE001  prometheus_client may keep its values in files
            self._series.report(error)

    def _end_later(self, notes: Notes, started: float, wait: Callable[[], None], samples: int) -> None:
        try:
            wait()
        except Exception as error:  # noqa: BLE001  computing it has failed, with an error of the framework
            self.fail(notes, error)
        else:
            notes.append((self._series.returned, samples, perf_counter() - started))

    def _count(self, output: Any) -> int | None:
        if self._count_samples is None:
            return counting.count_samples(output)
        samples = operator.index(self._count_samples(output))
        if samples < 0:
            raise ValueError(f"count_samples returned {samples}: give a count that is 0 or more")
        return samples

    def add(self, samples: int, item: Any) -> int:
        """Return the samples of a stream with those of another item."""
        if self._count_samples is None:
            return samples + 1
        try:
            return samples + (self._count(item) or 0)
        except Exception as error:  # noqa: BLE001  as above
            self._series.report(error)
            return samples
