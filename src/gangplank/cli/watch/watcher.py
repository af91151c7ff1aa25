"""Reads a server again and again, on a thread of its own: the faces show the newest view."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, replace

from gangplank.cli.remote.groups import matching_text
from gangplank.cli.remote.needs import UNSEEN
from gangplank.cli.remote.runs import Observation, RunStatus, by_urgency, status_of
from gangplank.cli.watch.history import POINTS, History
from gangplank.cli.watch.sources import Source
from gangplank.cli.watch.weights import Weights, WeightsReader
from gangplank.core.errors import GangplankError
from gangplank.core.log import describe, one_line

# The runs whose past is asked for; that of a thousand takes seconds.
_WITH_A_PAST = 50
# Seconds to wait for the weights of one: fewer than those after which the page hangs up.
_PATIENCE = 3.0


@dataclass(frozen=True, slots=True)
class View:
    """What there is to see.

    Attributes:
        source: the address of the server.
        runs: the runs, the most urgent first.
        now: Unix time in seconds by the server's clock, at the last reading; None if it has never been read.
        read_at: the same by our clock.
        weights: those of the only run; see `Source.weights`.
        error: why the server cannot be read now, or an empty text.
        unmatched: how many runs the patterns leave out.
    """

    source: str
    runs: tuple[RunStatus, ...] = ()
    now: float | None = None
    read_at: float | None = None
    weights: Weights = ()
    error: str = ""
    unmatched: int = 0


class Watcher:
    """Keeps the newest view of a server.

    Args:
        source: the server.
        every: seconds between two readings.
        job, phase: patterns for the runs to show; None shows all.

    Attributes:
        history: what was seen of each metric.
        view: the newest view.
    """

    def __init__(self, source: Source, every: float, job: str | None = None, phase: str | None = None) -> None:
        self.history = History()
        self.every = every
        self.view = View(str(source))
        self._source = source
        self._weights = WeightsReader(source)
        self._patterns = [(name, pattern) for name, pattern in (("job", job), ("phase", phase)) if pattern is not None]
        self._changed = threading.Condition()

    def start(self) -> None:
        """Read from now on, until the process ends."""
        threading.Thread(target=self._run, name="gangplank-watch", daemon=True).start()

    def wait(self, seen: View, timeout: float) -> View:
        """Return the newest view, as soon as it is another one than that, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.view is not seen, timeout)
            return self.view

    def read(self) -> View:
        """Read the server once; an error becomes a part of the view."""
        try:
            view = self._read()
        except GangplankError as error:
            view = replace(self.view, error=one_line(error))
        except Exception as error:  # noqa: BLE001  whatever a server says, watching goes on
            view = replace(self.view, error=f"what {self._source} shows cannot be read: {one_line(describe(error))}")
        with self._changed:
            self.view = view
            self._changed.notify_all()
        return view

    def weights(self, run: RunStatus) -> Weights:
        """Return the upper edge of each bucket of a run's weights, and how many are in it; nothing if unknown."""
        return self._weights.read(run, 0.0 if self.view.error else _PATIENCE)

    def _read(self) -> View:
        every, now = self._source.read()
        observations = [observed for observed in every if self._is_shown(observed)]
        seen = self.history.seen(observations, now)
        statuses = (status_of(observed, now, seen.get(observed.key, UNSEEN)) for observed in observations)
        runs = tuple(sorted(statuses, key=by_urgency))
        if self.view.now is None:
            first = runs[:_WITH_A_PAST]
            with contextlib.suppress(GangplankError):  # a server that refuses so much at once still has the present
                self.history.fill(self._source.past(now, POINTS, (run.name for run in first)), first)
        self.history.add(runs, now)
        weights = self._weights.read(runs[0], _PATIENCE) if len(runs) == 1 else ()
        return View(self.view.source, runs, now, time.time(), weights, unmatched=len(every) - len(runs))

    def _is_shown(self, observed: Observation) -> bool:
        return all(matching_text(observed.labels.get(name, ""), pattern) for name, pattern in self._patterns)

    def _run(self) -> None:
        while True:
            self.read()
            time.sleep(self.every)
