"""The newest value of everything about one run."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from gangplank.core.errors import ConfigurationError
from gangplank.core.naming import MetricNames, check_labels
from gangplank.core.page import RUNNING, Page
from gangplank.core.report import Report
from gangplank.core.snapshot import Group, Outcome, Snapshot

T = TypeVar("T")

MOST_RATES = 100
_MOST_UNREAD = 64


class Ledger:
    """Where a run's snapshots meet: updated on the training thread, read by the thread that sends.

    Args:
        group: the grouping key.
        phase: the phase, which the metrics' names begin with.
        name: of the run, which labels every sample; None for no label.
        info: the labels of `gangplank_run_info`.
        epochs_planned: the epoch count the run is to end with, or None where nobody knows.
        epoch: epochs completed before this run, or None in a phase without epochs.
        report: where renamed and refused metrics are reported.
        most_metrics: metrics to export at most.
        check: looks whether the run still runs, and ends it where it does not; called before a heartbeat.
    """

    def __init__(
        self,
        group: Group,
        phase: str,
        *,
        name: str | None,
        report: Report,
        info: Mapping[str, str],
        check: Callable[[], None],
        most_metrics: int,
        epochs_planned: int | None = None,
        epoch: int | None = None,
    ) -> None:
        now = time.time()
        self.group = group
        self.name = name
        self.check = check
        self.running = True  # in this process, and it has not ended
        self._report = report
        self._most_metrics = most_metrics
        self._began = time.monotonic()
        self._unread: deque[tuple[Snapshot, float]] = deque()
        self._lock = threading.RLock()  # re-entrant: a garbage collection inside it may run a destructor that logs
        self._names = MetricNames(phase)
        self._page = Page(
            group=group,
            phase=phase,
            labels={} if name is None else {"run": name},
            info=dict(info),
            started=now,
            last_update=now,
            heartbeat=now,
            epochs_planned=epochs_planned,
            epoch=epoch,
        )

    def update(self, snapshot: Snapshot) -> None:
        """Take what a snapshot says; what it leaves out stays."""
        self._unread.append((snapshot, time.time()))
        if len(self._unread) >= _MOST_UNREAD:  # nobody asks for the page: every destination hangs
            self._read()

    def _read(self) -> None:
        """Bring the page up to date: on the thread that sends, so that the training waits for none of it."""
        with self._lock:
            warnings: list[tuple[str, ...]] = []
            while self._unread:
                warnings += self._add(*self._unread.popleft())
        for cause, message, *arguments in warnings:
            self._report.once(cause, message, *arguments)

    def _add(self, snapshot: Snapshot, now: float) -> list[tuple[str, ...]]:
        """Put what a snapshot says into the page; returns what is to be reported, each thing once."""
        page = self._page
        metrics, learning_rates = dict(snapshot.metrics), dict(snapshot.learning_rates)
        if "learning_rate" in metrics and len(learning_rates) <= 1:
            # Keras' schedulers log it: the rate of the epoch that ended, under the name that ours has.
            learning_rates = {"": metrics.pop("learning_rate")}
        epoch = _newest(snapshot.epoch, page.epoch)
        steps = dict(snapshot.step_metrics)
        new = [metric for metric in {**metrics, **steps} if metric not in self._names]
        room = self._most_metrics - len(self._names)
        named, excess = self._names.add(new[:room]), new[room:]
        for metric in excess:
            metrics.pop(metric, None)
            steps.pop(metric, None)
        # All that there are now: a parameter group that is added changes the names of the others.
        rates = dict(list(learning_rates.items())[:MOST_RATES]) or page.learning_rates
        excess += [f"learning rate of {optimizer}" for optimizer in list(learning_rates)[MOST_RATES:]]
        newest = {
            **page.metrics,
            **{self._names[metric]: (value, None) for metric, value in steps.items()},
            **{self._names[metric]: (value, epoch) for metric, value in metrics.items()},
        }
        self._page = replace(
            page,
            last_update=now,
            epoch=epoch,
            step=_newest(snapshot.step, page.step),
            epoch_duration=_newest(snapshot.epoch_duration, page.epoch_duration),
            samples_per_second=_newest(snapshot.samples_per_second, page.samples_per_second),
            step_times=_newest(snapshot.step_times, page.step_times),
            metrics=newest,
            nonfinite_metrics=sum(not math.isfinite(value) for value, _ in newest.values()),
            learning_rates=rates,
            parameters=_newest(snapshot.parameters, page.parameters),
            weights=_newest(snapshot.weights, page.weights),
            dropped=Counter(page.dropped) + Counter(snapshot.dropped) + Counter(too_many=len(excess)),
        )
        warnings: list[tuple[str, ...]] = [
            (f"name {metric}", "The metric %r is exported as gangplank_%s_%s", metric, page.phase, name)
            for metric, name in named.items()
            if not metric.endswith(name)  # the phase in front of it is said by ours
        ]
        if excess:
            warnings.append(("too many", "More series than a page may have: %r and later ones are dropped", excess[0]))
        return warnings

    def add_info(self, plugin: str, facts: object) -> bool:
        """Take what a plugin knows of where the run runs; returns whether there is anything new.

        A fact that the info family cannot hold, or that is known already, is reported once and left out.
        """
        if not isinstance(facts, Mapping):
            self._report.once(f"info {plugin}", "The plugin %s returned a %s as info", plugin, type(facts).__name__)
            return False
        key = [name for name, _ in self.group.labels]
        taken: dict[str, str] = {}
        for name, value in facts.items():
            try:
                if value is not None and str(value):
                    taken |= check_labels("info", {name: value}, reserved=[*key, *self._page.info])
            except ConfigurationError as error:
                self._report.once(f"info {plugin} {name}", "The plugin %s: %s", plugin, error)
        with self._lock:
            self._page = replace(self._page, info={**self._page.info, **taken})
        return bool(taken)

    def count_failure(self, reason: str) -> None:
        """Count a push of this run that failed."""
        with self._lock:
            self._page = replace(self._page, failures=Counter(self._page.failures) + Counter({reason: 1}))

    def close(self, outcome: Outcome) -> None:
        """Say how the run ended."""
        self._read()
        with self._lock:
            now = time.time()
            self._page = replace(
                self._page,
                state=outcome,
                elapsed=time.monotonic() - self._began,
                last_update=now,
                heartbeat=now,
                succeeded=now if outcome is Outcome.FINISHED else None,
            )
            self.running = False

    def page(self) -> Page:
        """Return the page as it is now."""
        self._read()
        page = self._page
        if page.state != RUNNING:
            return page
        return replace(page, elapsed=time.monotonic() - self._began, heartbeat=time.time())


def _newest(new: T | None, old: T | None) -> T | None:
    return old if new is None else new
