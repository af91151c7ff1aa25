"""What one run's group on a gateway shows: families, names, text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate

from prometheus_client import Metric, generate_latest
from prometheus_client.registry import Collector

from gangplank.core.errors import DROP_REASONS, FAILURE_REASONS
from gangplank.core.exposition import NONFINITE, WEIGHTS, in_turns, tensors_text, upper_bounds
from gangplank.core.histogram import WeightCounts
from gangplank.core.snapshot import Group, Outcome, StepTimes

RUNNING = "running"
STATES = (RUNNING, *Outcome)


@dataclass(frozen=True, kw_only=True)
class Page(Collector):
    """The newest value of everything about a run, at one moment.

    Attributes:
        group: the grouping key, which the samples do not repeat.
        labels: what labels every sample: `run`, or nothing; and the grouping key, where the page is `identified`.
        info: the labels of `gangplank_run_info`.
        metrics: by exported name (`gangplank_<phase>_<name>`): float64, and the epoch it is from.
        started, last_update, heartbeat, succeeded: Unix time in seconds.
        elapsed: seconds since the start, up to the end.

    The other attributes are what `Snapshot` says of them.
    """

    group: Group
    phase: str
    labels: Mapping[str, str]
    info: Mapping[str, str]
    started: float
    last_update: float
    heartbeat: float
    succeeded: float | None = None
    elapsed: float = 0.0
    state: str = RUNNING
    epochs_planned: int | None = None
    epoch: int | None = None
    step: int | None = None
    epoch_duration: float | None = None
    samples_per_second: float | None = None
    step_times: StepTimes | None = None
    metrics: Mapping[str, tuple[float, int | None]] = field(default_factory=dict)
    nonfinite_metrics: int = 0
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    parameters: tuple[int, int] | None = None
    weights: Mapping[str, WeightCounts] | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)

    def identified(self) -> Page:
        """Return the page with its grouping key as labels of every sample, for destinations that have no such keys."""
        return replace(self, labels={**dict(self.group.labels), **self.labels})

    def text(self) -> bytes:
        """Return the page in Prometheus' text format 0.0.4."""
        if self.weights is None or "" in self.weights:
            return generate_latest(_Families(in_turns(self.collect())))
        # Of many tensors: prometheus_client would take its time.
        gauges = generate_latest(_Families(in_turns(self._gauges_and_counters())))
        return b"".join([gauges, *tensors_text(self._weights_name, self.labels, self.weights)])

    def collect(self) -> Iterator[Metric]:
        """Yield the families; a family that has no value yet is left out."""
        yield from self._gauges_and_counters()
        if self.weights is not None:
            yield self._histograms_of(self.weights)
            values = [(_tensor(tensor), counted.nonfinite) for tensor, counted in self.weights.items()]
            yield self._gauge(f"{self._weights_name}_nonfinite", NONFINITE, values)

    @property
    def _weights_name(self) -> str:
        return f"gangplank_{self.phase}_model_weights"

    def _gauges_and_counters(self) -> Iterator[Metric]:
        yield from self._phase_families()
        yield from self._run_families()

    def _phase_families(self) -> Iterator[Metric]:
        prefix = f"gangplank_{self.phase}_"
        for name, (value, _) in self.metrics.items():
            yield self._gauge(prefix + name, f"Newest value of this metric in phase {self.phase}.", [({}, value)])
        yield self._gauge(
            f"{prefix}elapsed_time_seconds", f"Wall time of phase {self.phase} so far.", [({}, self.elapsed)]
        )
        yield self._gauge(
            f"{prefix}learning_rate",
            "Learning rate, by optimizer where there are several.",
            [({"optimizer": name} if name else {}, rate) for name, rate in self.learning_rates.items()],
        )
        if self.parameters is not None:
            yield self._gauge(
                f"{prefix}model_parameters",
                "Parameters of the model, each variable counted once.",
                [({"trainable": yes}, count) for yes, count in zip(("true", "false"), self.parameters, strict=True)],
            )

    def _run_families(self) -> Iterator[Metric]:
        yield self._gauge(
            "gangplank_run_state",
            "How the run stands: 1 for its state, 0 for the others.",
            [({"state": state}, state == self.state) for state in STATES],
        )
        yield self._gauge("gangplank_run_info", "What runs, and where.", [(dict(self.info), 1)])
        singles = {
            "epoch": ("Epochs completed, those before a resume included.", self.epoch),
            "epochs_planned": ("Epochs that the run is to end with.", self.epochs_planned),
            "step": ("Optimizer steps completed, those before a resume included.", self.step),
            "epoch_duration_seconds": ("Wall time of the newest epoch.", self.epoch_duration),
            "samples_per_second": ("Samples per second in the newest epoch.", self.samples_per_second),
            "nonfinite_metrics": ("Metrics whose newest value is NaN or infinite.", self.nonfinite_metrics),
            "start_timestamp_seconds": ("When the run started.", self.started),
            "last_update_timestamp_seconds": ("When the run last made progress.", self.last_update),
            "heartbeat_timestamp_seconds": ("When the process last showed that it lives.", self.heartbeat),
            "last_success_timestamp_seconds": ("When the run finished without an error.", self.succeeded),
        }
        for name, (text, value) in singles.items():
            yield self._gauge(f"gangplank_run_{name}", text, [] if value is None else [({}, value)])
        yield self._gauge(
            "gangplank_run_metric_epoch",
            "The epoch that a metric's value is from.",
            [({"metric": name}, epoch) for name, (_, epoch) in self.metrics.items() if epoch is not None],
        )
        if self.step_times is not None:
            yield from self._step_families(self.step_times)
        yield self._counter(
            "gangplank_run_export_failures", "Pushes of this run that failed.", FAILURE_REASONS, self.failures
        )
        yield self._counter(
            "gangplank_run_dropped_metrics", "Metrics that could not be exported.", DROP_REASONS, self.dropped
        )

    def _step_families(self, times: StepTimes) -> Iterator[Metric]:
        if any(times.counts):
            family = Metric("gangplank_run_step_duration_seconds", "How long the steps took.", "histogram")
            buckets = zip(upper_bounds(times.edges), accumulate(times.counts), strict=True)
            self._add_histogram(family, {}, buckets, times.seconds)
            yield family
        totals = {
            "data_wait": ("Time that steps waited for their data.", times.data_wait),
            "forward": ("Time from the beginning of a step to its backward pass.", times.forward),
        }
        for name, (text, seconds) in totals.items():
            if seconds is not None:
                family = Metric(f"gangplank_run_{name}_seconds", text, "counter")
                family.add_sample(f"gangplank_run_{name}_seconds_total", dict(self.labels), seconds)
                yield family

    def _gauge(self, name: str, text: str, values: Iterable[tuple[dict[str, str], float]]) -> Metric:
        family = Metric(name, text, "gauge")
        for labels, value in values:
            family.add_sample(name, {**labels, **self.labels}, float(value))
        return family

    def _counter(self, name: str, text: str, reasons: Iterable[str], counts: Mapping[str, int]) -> Metric:
        family = Metric(name, text, "counter")
        for reason in reasons:
            family.add_sample(f"{name}_total", {"reason": reason, **self.labels}, float(counts.get(reason, 0)))
        return family

    def _histograms_of(self, weights: Mapping[str, WeightCounts]) -> Metric:
        family = Metric(self._weights_name, WEIGHTS, "histogram")
        for tensor, counted in weights.items():
            buckets = zip(upper_bounds(counted.edges), (*counted.counts, counted.total), strict=True)
            self._add_histogram(family, _tensor(tensor), buckets, counted.sum)
        return family

    def _add_histogram(
        self, family: Metric, labels: Mapping[str, str], buckets: Iterable[tuple[str, int]], total: float
    ) -> None:
        # A plain Metric: prometheus_client's own histograms drop the sum where an edge is negative.
        count = 0
        for le, count in buckets:
            family.add_sample(f"{family.name}_bucket", {"le": le, **labels, **self.labels}, float(count))
        family.add_sample(f"{family.name}_sum", {**labels, **self.labels}, total)
        family.add_sample(f"{family.name}_count", {**labels, **self.labels}, float(count))


def _tensor(name: str) -> dict[str, str]:
    return {"tensor": name} if name else {}


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
