"""What was seen of each metric since watching began, in bounded memory."""

from __future__ import annotations

import math
import threading
from array import array
from collections import deque
from collections.abc import Iterable
from itertools import islice

from gangplank.cli.remote.needs import Seen
from gangplank.cli.remote.runs import Facts, Observation, RunStatus
from gangplank.cli.watch.sources import Key, Past
from gangplank.core.page.page import RUNNING

#: The points that are kept of a metric: when there are more, every second one is forgotten.
POINTS = 240
# The metrics of a run, and the runs, whose past is kept.
_METRICS, _RUNS = 40, 2_000
# Seconds for which that of a run that is gone is kept: a gateway that was restarted has it again at its next push.
_GONE_FOR = 600.0
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

    def ends_with(self, value: float) -> bool:
        """Return whether this is the newest value."""
        return bool(self.values) and (self.values[-1] == value or (math.isnan(value) and math.isnan(self.values[-1])))


class _Curves(dict[str, _Curve]):
    """Those of a run, by metric; when it began, by its own clock; and when it was last there."""

    def __init__(self, started: float | None, there: float) -> None:
        super().__init__()
        self.started, self.there = started, there

    def choose(self, metrics: Iterable[str]) -> list[str]:
        """Return the metrics whose past is kept, the first ones; if there are others, forget them."""
        chosen = list(islice(metrics, _METRICS))
        if len(self.keys() | set(chosen)) > _METRICS:
            for metric in self.keys() - set(chosen):
                del self[metric]
        return chosen


class _Progress:
    """Since when a run's step and epoch are the same; and the seconds that it had paused, in the last minutes."""

    __slots__ = ("_pauses", "_position", "_since")

    def __init__(self) -> None:
        self._position: tuple[float | None, float | None] | None = None
        self._since = 0.0
        self._pauses: deque[tuple[float, float]] = deque()

    def look(self, facts: Facts, now: float) -> Seen:
        position = facts.values.get("step"), facts.values.get("epoch")
        if position != self._position:
            self._position, self._since = position, now
        if not self._pauses or now - self._pauses[-1][0] >= _APART:
            self._pauses.append((now, facts.paused))
        while now - self._pauses[0][0] > _PAUSES_WITHIN:
            self._pauses.popleft()
        then, before = self._pauses[0]
        pausing = now - then >= _APART and facts.paused - before > (now - then) / 2
        return Seen(now - self._since, pausing)


class History:
    """The past of the runs that a server shows now. Several threads may read it while one writes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._curves: dict[Key, _Curves] = {}
        self._progress: dict[Key, _Progress] = {}

    def fill(self, past: Iterable[Past], runs: Iterable[RunStatus]) -> None:
        """Begin with what a server knows of the past of these runs."""
        known = {run.key: run for run in runs}
        with self._lock:
            for one in past:
                if (run := known.get(one.key)) is None:
                    continue
                # Without a name, the series of a run are those of the job's earlier runs too.
                begin = -math.inf if run.name or run.started is None else run.started
                points = [point for point in one.points if point[0] >= begin]
                curves = self._curves_of(run, points[-1][0] if points else 0.0)
                if one.metric in curves.choose(run.metrics):
                    for time, value in points:
                        curves.setdefault(one.metric, _Curve()).add(time, value)

    def add(self, runs: Iterable[RunStatus], now: float) -> None:
        """Add the newest values, and forget the runs that are gone for good."""
        shown = {run.key: run for run in islice(runs, _RUNS)}
        with self._lock:
            for run in shown.values():
                curves = self._curves_of(run, now)
                for metric in curves.choose(run.metrics):
                    curve, value = curves.setdefault(metric, _Curve()), run.metrics[metric]
                    # The curve of a run that has ended stands still, once it has the last value.
                    if run.state == RUNNING or not curve.ends_with(value):
                        curve.add(now, value)
            by_absence = sorted(self._curves, key=lambda key: (key not in shown, now - self._curves[key].there))
            for index, key in enumerate(by_absence):
                if index >= _RUNS or now - self._curves[key].there > _GONE_FOR:
                    del self._curves[key]

    def seen(self, observations: Iterable[Observation], now: float) -> dict[Key, Seen]:
        """Return what this look at each run and those before it tell together."""
        before = self._progress
        self._progress = {one.key: before.get(one.key, _Progress()) for one in islice(observations, _RUNS)}
        return {one.key: self._progress[one.key].look(one.facts, now) for one in islice(observations, _RUNS)}

    def points(self, key: Key, metric: str) -> list[tuple[float, float]]:
        """Return the times and values of a metric, the oldest first."""
        with self._lock:
            curve = self._curves[key].get(metric) if key in self._curves else None
            return list(zip(curve.times, curve.values, strict=True)) if curve else []

    def _curves_of(self, run: RunStatus, now: float) -> _Curves:
        curves = self._curves.get(run.key)
        if curves is None or (not run.name and curves.started != run.started):
            curves = self._curves[run.key] = _Curves(run.started, now)
        curves.there = now
        return curves
