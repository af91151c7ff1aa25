"""The newest value of everything about one run: snapshots go in, pages come out."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from gangplank.core.errors import ConfigurationError, kind_of
from gangplank.core.labels import check_labels
from gangplank.core.lifecycle import OpenRun
from gangplank.core.log import Log
from gangplank.core.page.names import Metric, MetricNames, Naming, Source
from gangplank.core.page.page import MetricValue, Page
from gangplank.core.types import Group, Outcome, Snapshot

_MOST_RATES = 100
_RATE = "learning_rate"
# Snapshots that wait to be merged, at most.
_MOST_UNREAD = 64


class Latest:
    """Merges the snapshots of one run. The training thread updates it; the threads that send ask it for pages.

    Args:
        group: the grouping key.
        phase: the phase, which is in the names of the metrics.
        name: the `run` label of every sample; None for no label.
        log: reports renamed and refused metrics.
        info: the labels of `gangplank_run_info`.
        most_metrics: how many metrics are exported at most.
        destinations: the `destination` labels of the failure counts.
        run: returns the run, None once it is deleted; nothing of the page keeps it alive.
        activities: returns where the time of the run has gone: seconds by activity.

    Attributes:
        overtaken_at: the destinations where a run of the group, in this process, has said something since this one has.
        sent_to: the destinations that have been sent a page.
        ended_at: the destinations that have, or have refused, the page of its end.
    """

    def __init__(
        self,
        group: Group,
        phase: str,
        *,
        name: str | None,
        log: Log,
        info: Mapping[str, str],
        most_metrics: int,
        destinations: Iterable[str],
        run: Callable[[], OpenRun | None],
        activities: Callable[[], Mapping[str, float]],
    ) -> None:
        now = time.time()
        self.group = group
        self.name = name
        # How the run ended, when, and where its time went.
        self._end: tuple[Outcome, float, Mapping[str, float]] | None = None
        self._log = log
        self._most_metrics = most_metrics
        self._run = run
        self.overtaken_at: set[str] = set()
        self.sent_to: set[str] = set()
        self.ended_at: set[str] = set()
        self._looking = threading.Lock()  # held by the thread that asks whether the run is lost
        self._activities = activities
        self._unread: deque[tuple[Snapshot, float]] = deque()
        self._lock = threading.RLock()  # re-entrant: a garbage collection inside it may run a destructor that logs
        self._names = MetricNames(phase)
        self._is_training = phase == "train"
        self._rate_is_logged: bool | None = None  # whether a metric is the learning rate; None before there is one
        self._page = Page(
            group=group,
            phase=phase,
            labels={} if name is None else {"run": name},
            info=dict(info),
            started=now,
            last_update=now,
            heartbeat=now,
            failures={destination: {} for destination in destinations},
        )

    @property
    def running(self) -> bool:
        """Whether the run has not ended."""
        return self._end is None

    @property
    def watched(self) -> bool:
        """Whether the end of the run is noticed: otherwise it may be over although it has not ended."""
        run = self._run()
        return run is not None and run.watched

    @property
    def left(self) -> bool:
        """Whether the run has been left without an end: to another process."""
        run = self._run()
        return self.running and (run is None or not run.open)

    def update(self, snapshot: Snapshot) -> None:
        """Note a snapshot. Values that are not in it do not change."""
        self._unread.append((snapshot, time.time()))
        if len(self._unread) >= _MOST_UNREAD:  # every destination hangs: none asks for the page
            self._merge()

    def _merge(self) -> None:
        """Merge what was noted into the page.

        The threads that send do this, so that the training thread does not wait for it.
        """
        named: dict[Metric, Naming] = {}
        excess: list[str] = []
        with self._lock:
            for _ in range(len(self._unread)):  # Ctrl-C in a `while` would leave it locked, from Python 3.12 on
                self._merge_one(*self._unread.popleft(), named, excess)
        renamed = {
            f"{metric} {naming.name}": (metric, self._exported_as(naming))
            for metric, naming in named.items()
            # Otherwise it only lost the phase, which is in our prefix already.
            if naming.name != naming.wanted or not metric.raw.endswith(naming.name)
        }
        if renamed:
            self._log.warn_of_each("The metric %s is exported as %s", renamed)
        if excess:
            self._log.warn_once(
                "too many", "More series than a page may have: %s and later ones are dropped", f"{excess[0]!r:.200}"
            )

    def _merge_one(self, snapshot: Snapshot, now: float, named: dict[Metric, Naming], excess: list[str]) -> None:
        """Merge a snapshot into the page; the metrics that are new are added to `named`, or are `excess`."""
        logged, rates = self._with_rate(dict(snapshot.metrics), dict(snapshot.learning_rates))
        epoch = self._page.newest.epoch if snapshot.epoch is None else snapshot.epoch
        of_step = None, snapshot.metrics_step
        position = of_step if snapshot.of_steps else (epoch, None)
        parts = (
            (Source.LOGGED, logged, position),
            (Source.COMPUTED, snapshot.computed, position),
            (Source.STEPS if snapshot.steps_apart else Source.LOGGED, snapshot.step_metrics, of_step),
        )
        names = self._names
        new = [Metric(source, raw) for source, metrics, _ in parts for raw in metrics if raw not in names.of(source)]
        new = list(dict.fromkeys(new))  # a step may have a metric of its epoch
        room = self._most_metrics - len(names)
        named |= names.add(new[:room])
        too_many = [metric.raw for metric in new[room:]]
        too_many += [f"learning rate of {optimizer}" for optimizer in list(rates)[_MOST_RATES:]]
        excess += too_many
        newest = self._page.newest.updated(
            replace(
                snapshot,
                metrics={},
                computed={},
                step_metrics={},
                # They replace the earlier ones: a parameter group that is added changes the names of the others.
                learning_rates=dict(list(rates.items())[:_MOST_RATES]),
                dropped=Counter(snapshot.dropped) + Counter(too_many=len(too_many)),
            )
        )
        values: dict[str, MetricValue] = {}
        for source, metrics, where in reversed(parts):  # that of an epoch replaces that of its last step
            known = names.of(source)
            values.update({known[raw]: MetricValue(value, *where) for raw, value in metrics.items() if raw in known})
        self._page = replace(self._page, last_update=now, newest=newest, metrics={**self._page.metrics, **values})

    def _with_rate(
        self, metrics: dict[str, float], rates: dict[str, float]
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Return metrics and learning rates; a metric `learning_rate` is the rate, if none was given before it."""
        if self._rate_is_logged is None and (rates or _RATE in metrics):
            self._rate_is_logged = not rates
        if self._rate_is_logged and (rates or _RATE in metrics):
            logged = metrics.pop(_RATE, None)
            logged = self._page.newest.learning_rates[""] if logged is None else logged
            rates = {"": logged, **{optimizer or "0": rate for optimizer, rate in rates.items()}}
        return metrics, rates

    def _exported_as(self, naming: Naming) -> str:
        """Return a metric's exported name for the log, with the reason why it has not the name that it wants."""
        prefix = f"gangplank_{self._page.phase}_"
        if naming.name == naming.wanted:
            return f"{prefix}{naming.name}"
        holder = "one of gangplank's own" if naming.holder is None else f"the metric {naming.holder}"
        return f"{prefix}{naming.name}, because {prefix}{naming.wanted} is {holder}"

    def add_info(self, plugin: str, facts: object) -> bool:
        """Add what a plugin knows about the run to the info family, and return whether anything was added.

        A fact with a name or value that the family cannot have, or with the name of a known fact, is reported once and
        left out.

        Args:
            plugin: the name of the plugin.
            facts: what it returned, which should be a mapping of label names and values.
        """
        if not isinstance(facts, Mapping):
            self._log.warn_once(f"info {plugin}", "The plugin %s returned %s as info", plugin, kind_of(facts))
            return False
        key = [name for name, _ in self.group.labels]
        taken: dict[str, str] = {}
        refused: dict[str, tuple[object, ...]] = {}
        for name, value in facts.items():
            try:
                if value is not None and str(value):
                    taken |= check_labels("info", {name: value}, reserved=[*key, *self._page.info])
            except ConfigurationError as error:
                refused[f"{name!r:.200}"] = (error,)
        self._log.warn_of_each(f"The plugin {plugin.replace('%', '%%')}: %s", refused)
        with self._lock:
            self._page = replace(self._page, info={**self._page.info, **taken})
        return bool(taken)

    def count_failure(self, destination: str, reason: str) -> None:
        """Count a push of this run that failed."""
        with self._lock:
            failures = self._page.failures
            counts = Counter(failures[destination]) + Counter({reason: 1})
            self._page = replace(self._page, failures={**failures, destination: counts})

    def close(self, outcome: Outcome) -> None:
        """Note how the run ended."""
        self._merge()
        self._log.log_waiting(at_once=True)
        self._end = outcome, time.time(), self._activities()

    def page(self) -> Page:
        """Return the page as it is now."""
        self._merge()
        self._log.log_waiting()
        seconds = self._activities() if self._end is None else self._end[2]
        page = replace(self._page, elapsed=sum(seconds.values()), activities=seconds if self._is_training else {})
        if self._end is None:
            return replace(page, heartbeat=time.time())
        outcome, ended, _ = self._end
        return replace(
            page,
            state=outcome,
            last_update=ended,
            heartbeat=ended,
            succeeded=ended if outcome is Outcome.FINISHED else None,
        )

    def end_if_lost(self) -> None:
        """End the run if nothing is new, and the training is over."""
        if not self._unread and self.running and self._looking.acquire(blocking=False):  # else another thread checks
            try:
                if (run := self._run()) is not None:
                    run.end_if_lost()
            finally:
                self._looking.release()
