"""Names of metrics: legal, not reserved, and unique."""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

# The phase that frameworks put in front of a metric's name; our prefix contains it already.
_PHASE_PREFIX = {
    "train": re.compile(r"train[^a-zA-Z0-9]+(?=.)", re.DOTALL),
    "validate": re.compile(r"(?:val|validate)[^a-zA-Z0-9]+(?=.)", re.DOTALL),
    "test": re.compile(r"test[^a-zA-Z0-9]+(?=.)", re.DOTALL),
    "predict": re.compile(r"predict[^a-zA-Z0-9]+(?=.)", re.DOTALL),
}
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_]")
_LONGEST = 150

# Names of our own families, and of their samples, without `gangplank_<phase>_`: no metric may have them.
RESERVED_METRICS = frozenset(
    {
        "elapsed_time_seconds",
        "learning_rate",
        "model_parameters",
        "model_weights",
        "model_weights_bucket",
        "model_weights_count",
        "model_weights_nonfinite",
        "model_weights_sum",
    }
)

# Those of phase `predict` that instrumented models have, where no framework is: `predict/` says what they are.
_COUNTERS = (
    *("total", "time_seconds_total", "call_total", "call_time_seconds_total", "errors_total", "untimed_total"),
    *("drift_detected_total", "drift_checks_total"),
)
_HISTOGRAMS = ("latency_seconds", "batch_size")
RESERVED_IN_PREDICT = frozenset(
    {
        *("in_flight", "model_loaded_timestamp_seconds", "drift_p_value", "drift_test_statistic"),
        *_COUNTERS,
        *(name.removesuffix("total") + "created" for name in _COUNTERS),
        *(name + part for name in _HISTOGRAMS for part in ("", "_bucket", "_sum", "_count", "_created")),
    }
)


def reserved_metrics(phase: str) -> frozenset[str]:
    """Return the names that no metric of a phase may have."""
    return RESERVED_METRICS | RESERVED_IN_PREDICT if phase == "predict" else RESERVED_METRICS


class Source(enum.Enum):
    """Where a metric comes from, ours first: metrics of one name that come from different places are different ones."""

    COMPUTED = "computed by gangplank"
    STEPS = "of steps"
    LOGGED = ""  # by the framework, or by the user


class Metric(NamedTuple):
    """A metric: the name that it was recorded under, and where it comes from."""

    source: Source
    raw: str

    def __str__(self) -> str:
        return f"{self.raw!r:.200} {self.source.value}".rstrip()


class Naming(NamedTuple):
    """How a metric is exported.

    Attributes:
        name: under which it is exported.
        wanted: the name that it would have if it were the only metric.
        holder: the metric that has that name; None for itself, or for a family of ours, which is not a metric.
    """

    name: str
    wanted: str
    holder: Metric | None


class MetricNames:
    """The exported names of one run's metrics: unique, and unchanged as long as the run lasts.

    A metric `m` of phase `p` is exported as `gangplank_<p>_<names.of(source)[m]>`. Of the metrics that are new in one
    record, ours are named first, then those whose names need no change: the order of a dict decides nothing, and `loss`
    has its name whether `train_loss` is before or behind it. A metric that comes in a later record finds the names of
    the earlier ones taken, since a series must not change from one metric to another.

    Args:
        phase: the phase; a metric's name loses it at the beginning (`train/loss`), unless the short name is taken.
    """

    def __init__(self, phase: str) -> None:
        self._prefix = _PHASE_PREFIX[phase]
        self._names: dict[Source, dict[str, str]] = {source: {} for source in Source}
        self._holders: dict[str, Metric | None] = dict.fromkeys(reserved_metrics(phase))

    def __len__(self) -> int:
        return sum(map(len, self._names.values()))

    def of(self, source: Source) -> Mapping[str, str]:
        """Return the names of the metrics that come from one place, by their raw names."""
        return self._names[source]

    def add(self, metrics: Iterable[Metric]) -> dict[Metric, Naming]:
        """Name the metrics that have no name yet, and return these. No metric's raw name may be empty."""
        new = {metric: self._choices(metric.raw) for metric in metrics if metric.raw not in self._names[metric.source]}
        added, sources = {}, list(Source)
        for metric in sorted(
            new, key=lambda one: (sources.index(one.source), [name != one.raw for name in new[one]], one.raw)
        ):
            wanted, name = new[metric][0], self._free_name(metric.raw, new[metric])
            added[metric] = Naming(name, wanted, self._holders.get(wanted))
            self._names[metric.source][metric.raw], self._holders[name] = name, metric
        return added

    def _choices(self, raw: str) -> tuple[str, str]:
        """Return a metric's name without the phase in front, and with it."""
        plain = _sanitised(raw)
        return (_sanitised(self._prefix.sub("", raw, count=1)) if self._prefix.match(raw) else plain), plain

    def _free_name(self, raw: str, choices: tuple[str, str]) -> str:
        for name in choices:
            if name not in self._holders:
                return name
        attempt = 0
        while (name := f"{choices[1]}_{_digest(raw, attempt)}") in self._holders:
            attempt += 1
        return name


def _sanitised(metric: str) -> str:
    name = _ILLEGAL.sub("_", metric)
    if len(name) > _LONGEST:
        return f"{name[:_LONGEST]}_{_digest(metric)}"
    return name if name.strip("_") else f"metric_{_digest(metric)}"


def _digest(text: str, attempt: int = 0) -> str:
    return hashlib.sha256(f"{attempt}:{text}".encode(errors="surrogatepass")).hexdigest()[:8]
