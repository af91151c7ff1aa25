"""The metrics of instrumented models: those of one registry are one collector, which is registered once."""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, values
from prometheus_client.registry import Collector

from gangplank.core.errors import ConfigurationError
from gangplank.core.lifecycle import after_fork

# Whether the values are in files that several processes share: decided by the environment when prometheus_client is
# imported.
MULTIPROCESS = values.ValueClass is not values.MutexValue

# When so many notes wait, calls count some themselves: of 2,500 calls between two scrapes, none has to. With more, a
# scrape would hold up an event loop that it runs on.
MOST_NOTES = 5_000

# Older versions of prometheus_client have no way to show the newest value of several processes: there, each is shown.
_NEWEST = "mostrecent" if "mostrecent" in Gauge._MULTIPROC_MODES else "liveall"  # noqa: SLF001  not public

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SAMPLES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)

# Types of exceptions that are told apart; the others are one.
_MOST_EXCEPTIONS = 20
OTHER_EXCEPTIONS = "other"

CHECKED, FAILED, DROPPED = "checked", "failed", "dropped"


# A function and its arguments: it counts something, and does not raise.
Note = tuple[Any, ...]
Notes = deque[Note]


class _AtOnce(Notes):
    """Counts what is noted at once: another process reads the values."""

    forgotten = False

    def append(self, note: Note, /) -> None:
        if not self.forgotten:
            function, *arguments = note
            function(*arguments)


class _Kind(NamedTuple):
    """The class of a family's metrics, its help text, its own labels, and arguments of the class."""

    make: type[Counter | Gauge | Histogram]
    help: str
    labels: tuple[str, ...] = ()
    options: Mapping[str, Any] = {}


FAMILIES = {
    "gangplank_predict_total": _Kind(Counter, "Samples predicted."),
    "gangplank_predict_time_seconds_total": _Kind(Counter, "Time that predicting these samples took."),
    "gangplank_predict_call_total": _Kind(Counter, "Samples that calls of the model itself returned."),
    "gangplank_predict_call_time_seconds_total": _Kind(Counter, "Time that calls of the model itself took."),
    "gangplank_predict_latency_seconds": _Kind(Histogram, "Time that a call took.", ("method",), {"buckets": _SECONDS}),
    "gangplank_predict_batch_size": _Kind(
        Histogram, "Samples that a call predicted.", ("method",), {"buckets": _SAMPLES}
    ),
    "gangplank_predict_in_flight": _Kind(Gauge, "Calls going on now.", (), {"multiprocess_mode": "livesum"}),
    "gangplank_predict_errors_total": _Kind(Counter, "Calls that raised an exception.", ("method", "exception")),
    "gangplank_predict_untimed_total": _Kind(
        Counter, "Calls timed until they returned, since too many outputs were still being computed."
    ),
    "gangplank_predict_model_loaded_timestamp_seconds": _Kind(
        Gauge, "When the model was instrumented.", (), {"multiprocess_mode": "max"}
    ),
    "gangplank_predict_drift_detected_total": _Kind(Counter, "Incidents of drift that were detected."),
    "gangplank_predict_drift_p_value": _Kind(
        Gauge, "The newest p-value: how likely such inputs are without drift.", (), {"multiprocess_mode": _NEWEST}
    ),
    "gangplank_predict_drift_test_statistic": _Kind(
        Gauge, "The newest distance of the inputs from what was expected.", (), {"multiprocess_mode": _NEWEST}
    ),
    "gangplank_predict_drift_checks_total": _Kind(Counter, "Checks for drift, by what became of them.", ("result",)),
}


class Families:
    """The metrics of all models of one registry that have the same labels.

    Args:
        labels: those of every sample: `model` and `version`, as far as they were given.

    Attributes:
        in_flight: the gauge of the calls that go on.
        notes: what calls have left to be counted. Appending to a deque needs no lock, and takes a call much less time.
            A forked child has another one: nobody counts what the calls that were in flight append to the old one.
    """

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels
        self._lock = threading.RLock()
        self._metrics: dict[str, Any] = {}
        self._exceptions: set[str] = set()
        self.in_flight = self.metric("in_flight")
        self.notes = _AtOnce() if MULTIPROCESS else Notes()

    def metric(self, name: str, **labels: str) -> Any:
        """Return the metric of a family, by its name without `gangplank_predict_`; it is shown from now on."""
        name = f"gangplank_predict_{name}"
        kind = FAMILIES[name]
        with self._lock:
            metric = self._metrics.get(name)
            if metric is None:
                names = (*self._labels, *kind.labels)
                metric = self._metrics[name] = kind.make(name, kind.help, names, registry=None, **kind.options)
        all_labels = {**self._labels, **labels}
        return metric.labels(**all_labels) if all_labels else metric

    def errors(self, method: str, kind: type[BaseException]) -> Any:
        """Return the counter of the exceptions of this type."""
        name = kind.__name__
        with self._lock:
            if name not in self._exceptions:
                if len(self._exceptions) >= _MOST_EXCEPTIONS:
                    name = OTHER_EXCEPTIONS
                else:
                    self._exceptions.add(name)
        return self.metric("errors_total", method=method, exception=name)

    def loaded(self) -> None:
        """Note that a model is instrumented now."""
        self.metric("model_loaded_timestamp_seconds").set(time.time())

    def catch_up(self) -> None:
        """Count one note more than a call leaves: too many wait, since nobody reads."""
        self._count(3)

    def _count(self, most: int) -> None:
        for _ in range(most):
            try:
                function, *arguments = self.notes.popleft()
            except IndexError:  # another thread counts it
                return
            function(*arguments)

    def collect(self) -> Iterator[Metric]:
        """Yield the families with their samples; what was noted before is counted."""
        with self._lock:  # what another reader has taken is counted by now
            self._count(len(self.notes))
            metrics = list(self._metrics.values())
        for metric in metrics:
            yield from metric.collect()

    def forked(self) -> None:
        """In a forked child, drop what calls of the parent have noted, and what those that go on in both will note."""
        self._lock = threading.RLock()
        if isinstance(self.notes, _AtOnce):
            self.notes.forgotten = True
        self.notes = _AtOnce() if MULTIPROCESS else Notes()
        if not MULTIPROCESS:  # there, prometheus_client does
            self._metrics.pop("gangplank_predict_in_flight")
            self.in_flight = self.metric("in_flight")


class _Shown(Collector):
    """What one registry shows: the families of all labels."""

    def __init__(self) -> None:
        self.by_labels: dict[tuple[tuple[str, str], ...], Families] = {}

    def describe(self) -> Iterator[Metric]:
        """Yield the families without samples: the registry keeps their names."""
        for name, kind in FAMILIES.items():
            # With a label, it has no value yet: a value may be in a file.
            yield from kind.make(name, kind.help, ("model", *kind.labels), registry=None, **kind.options).describe()

    def collect(self) -> Iterator[Metric]:
        """Yield each family that has samples, once."""
        merged: dict[str, Metric] = {}
        for families in list(self.by_labels.values()):
            for family in families.collect():
                merged.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                ).samples += family.samples
        yield from (family for family in merged.values() if family.samples)


_lock = threading.RLock()
_shown: weakref.WeakKeyDictionary[CollectorRegistry, _Shown] = weakref.WeakKeyDictionary()
# Two metrics that share a value in a file would overwrite each other's, whatever their registries.
_in_files: dict[tuple[tuple[str, str], ...], Families] = {}


def families_of(registry: CollectorRegistry, labels: Mapping[str, str]) -> Families:
    """Return the metrics that models with these labels have in a registry: always the same.

    Raises:
        ConfigurationError: the registry has other metrics with the names of ours.
    """
    with _lock:
        shown = _shown.get(registry)
        is_new = shown is None
        if shown is None:
            shown = _Shown()
            shown.by_labels = _in_files if MULTIPROCESS else shown.by_labels
        try:
            registry.register(shown)
        except ValueError as error:
            if is_new:
                raise ConfigurationError(
                    f"the registry has metrics with the names of gangplank's ({error}): rename them, or give "
                    "registry=prometheus_client.CollectorRegistry()"
                ) from error
        _shown[registry] = shown
        key = tuple(labels.items())
        if key not in shown.by_labels:
            shown.by_labels[key] = Families(labels)
        return shown.by_labels[key]


def _forked() -> None:
    global _lock  # noqa: PLW0603  a thread of the parent may hold it forever
    _lock = threading.RLock()
    for shown in list(_shown.values()):
        for families in shown.by_labels.values():
            families.forked()


after_fork(_forked)
