"""What was seen of each metric since watching began, in bounded memory."""

from __future__ import annotations

import threading
from array import array
from collections import deque
from collections.abc import Iterable
from itertools import islice

from gangplank.cli.remote.needs import Seen
from gangplank.cli.remote.runs import Observation, RunStatus, paused_of, position_of
from gangplank.cli.watch.sources import Key, Past
from gangplank.core.page.page import RUNNING

#: The points that are kept of a metric: when there are more, every second one is forgotten.
POINTS = 240
# The metrics of a run, and the runs, whose past is kept.
_METRICS, _RUNS = 40, 2_000
# GangplankRunStuck looks at the pauses of so many seconds; the looks that are kept are so many seconds apart.
_PAUSES_WITHIN, _APART = 300.0, 15.0


class _Curve:
    """The times and the values of one metric."""

    __slots__ = ("times", "values")

    def __init__(self) -> None:
        self.times, self.values = array("d"), array("d")

    def add(self, time: float, value: float) -> None:
        if self.times and time <= self.times[-1]:
            return
        self.times.append(time)
        self.values.append(value)
        if len(self.times) > POINTS:  # an odd number, so the newest one stays
            self.times, self.values = self.times[::2], self.values[::2]


class _Progress:
    """Since when a run's step and epoch are the same; and the seconds that it had paused, in the last minutes."""

    __slots__ = ("_pauses", "_position", "_since")

    def __init__(self) -> None:
        self._position: tuple[float | None, float | None] | None = None
        self._since = 0.0
        self._pauses: deque[tuple[float, float]] = deque()

    def look(self, position: tuple[float | None, float | None], paused: float, now: float) -> Seen:
        if position != self._position:
            self._position, self._since = position, now
        if not self._pauses or now - self._pauses[-1][0] >= _APART:
            self._pauses.append((now, paused))
        while now - self._pauses[0][0] > _PAUSES_WITHIN:
            self._pauses.popleft()
        then, before = self._pauses[0]
        pausing = now - then >= _APART and paused - before > (now - then) / 2
        return Seen(now - self._since, pausing)


class History:
    """The past of the runs that a server shows now. Several threads may read it while one writes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._curves: dict[Key, dict[str, _Curve]] = {}
        self._progress: dict[Key, _Progress] = {}

    def fill(self, past: Iterable[Past], runs: Iterable[RunStatus]) -> None:
        """Begin with what a server knows of the past of these runs."""
        known = {run.key for run in runs}
        with self._lock:
            for one in past:
                if one.key in known:
                    for time, value in one.points:
                        self._add(one.key, one.metric, time, value)

    def add(self, runs: Iterable[RunStatus], now: float) -> None:
        """Add the newest values, and forget the runs that are gone."""
        shown = {run.key: run for run in islice(runs, _RUNS)}
        with self._lock:
            self._curves = {key: curves for key, curves in self._curves.items() if key in shown}
            for key, run in shown.items():
                if run.state != RUNNING and key in self._curves:
                    continue
                for metric, value in run.metrics.items():
                    self._add(key, metric, now, value)

    def seen(self, observations: Iterable[Observation], now: float) -> dict[Key, Seen]:
        """Return what this look at each run and those before it tell together."""
        before = self._progress
        self._progress = {one.key: before.get(one.key, _Progress()) for one in islice(observations, _RUNS)}
        return {
            one.key: self._progress[one.key].look(position_of(one), paused_of(one), now)
            for one in islice(observations, _RUNS)
        }

    def points(self, key: Key, metric: str) -> list[tuple[float, float]]:
        """Return the times and values of a metric, the oldest first."""
        with self._lock:
            curve = self._curves.get(key, {}).get(metric)
            return list(zip(curve.times, curve.values, strict=True)) if curve else []

    def _add(self, key: Key, metric: str, time: float, value: float) -> None:
        curves = self._curves.setdefault(key, {})
        if metric in curves or len(curves) < _METRICS:
            curves.setdefault(metric, _Curve()).add(time, value)
