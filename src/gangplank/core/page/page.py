"""What a destination shows of one run: its families, their names, help texts and values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import NamedTuple

from prometheus_client import Metric
from prometheus_client.registry import Collector

from gangplank.core.errors import DROP_REASONS, FAILURE_REASONS
from gangplank.core.page.families import Family, Histogram
from gangplank.core.page.text import Block, join, write
from gangplank.core.types import Group, Outcome, Snapshot, StepTimes
from gangplank.core.weights.histogram import WeightCounts

RUNNING = "running"
STATES = (RUNNING, *Outcome)


class MetricValue(NamedTuple):
    """The newest value of a metric, and the epoch or the step that it is from, if that is known."""

    value: float
    epoch: int | None = None
    step: int | None = None


@dataclass(frozen=True, kw_only=True)
class Page(Collector):
    """The newest value of everything about a run, at one moment.

    Attributes:
        group: the grouping key, which the samples do not repeat.
        labels: those of every sample: `run`, if the run has a name, and the grouping key, if the page is `identified`.
        info: the labels of `gangplank_run_info`.
        metrics: by exported name (`gangplank_<phase>_<name>`).
        newest: the newest value of everything else that was recorded.
        started, last_update, heartbeat, succeeded: Unix time in seconds.
        activities: seconds of each activity, in a training; together they are `elapsed`.
        elapsed: seconds since the start, or from the start to the end.
        state: "running", or the outcome.
        failures: how many pushes failed, by destination and reason; every destination is there from the start.
    """

    group: Group
    phase: str
    labels: Mapping[str, str]
    info: Mapping[str, str]
    started: float
    last_update: float
    heartbeat: float
    succeeded: float | None = None
    activities: Mapping[str, float] = field(default_factory=dict)
    elapsed: float = 0.0
    state: str = RUNNING
    metrics: Mapping[str, MetricValue] = field(default_factory=dict)
    newest: Snapshot = field(default_factory=Snapshot)
    failures: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def identified(self) -> Page:
        """Return the page with its grouping key as labels of every sample, for destinations without grouping keys."""
        return replace(self, labels={**dict(self.group.labels), **self.labels})

    def text(self) -> bytes:
        """Return the page in Prometheus' text format 0.0.4."""
        return join(self.blocks())

    def blocks(self) -> Iterator[Block]:
        """Yield the text of each family."""
        return write(self._families(), self.labels)

    def collect(self) -> Iterator[Metric]:
        """Yield the families as objects of prometheus_client."""
        return (family.metric(self.labels) for family in self._families())

    def _families(self) -> Iterator[Family]:
        """Yield the families; most are there from the start, at first without a value."""
        yield from self._phase_families()
        yield from self._run_families()
        if self.newest.step_times is not None:
            yield from _step_families(self.newest.step_times)
        yield from self._counters()
        if self.newest.weights is not None:
            yield from self._weight_families(self.newest.weights)

    def _phase_families(self) -> Iterator[Family]:
        prefix = f"gangplank_{self.phase}_"
        for name, metric in self.metrics.items():
            yield _gauge(prefix + name, f"Newest value of this metric in phase {self.phase}.", metric.value)
        yield _gauge(f"{prefix}elapsed_time_seconds", f"Wall time of phase {self.phase} so far.", self.elapsed)
        yield Family(
            f"{prefix}learning_rate",
            "gauge",
            "Learning rate, by optimizer where there are several.",
            [(_labelled("optimizer", name), rate) for name, rate in self.newest.learning_rates.items()],
        )
        if self.newest.parameters is not None:
            trainable, others = self.newest.parameters
            yield Family(
                f"{prefix}model_parameters",
                "gauge",
                "Parameters of the model, each variable counted once.",
                [({"trainable": "true"}, trainable), ({"trainable": "false"}, others)],
            )

    def _run_families(self) -> Iterator[Family]:
        newest = self.newest
        yield Family(
            "gangplank_run_state",
            "gauge",
            "How the run stands: 1 for its state, 0 for the others.",
            [({"state": state}, int(state == self.state)) for state in STATES],
        )
        yield Family("gangplank_run_info", "gauge", "What runs, and where.", [(self.info, 1)])
        checkpoint, checkpoint_step = newest.checkpoint or (None, None)
        nonfinite = sum(not math.isfinite(metric.value) for metric in self.metrics.values())
        for name, text, value in (
            ("epoch", "Epochs completed, those before a resume included.", newest.epoch),
            ("epochs_planned", "Epochs that the run is to end with.", newest.epochs_planned),
            ("step", "Optimizer steps completed, those before a resume included.", newest.step),
            ("steps_planned", "Optimizer steps that the run is to end with.", newest.steps_planned),
            ("resumed_from_step", "Optimizer steps completed before the run.", newest.resumed_from_step),
            ("checkpoint_timestamp_seconds", "When the newest checkpoint was saved.", checkpoint),
            ("checkpoint_step", "The step of the newest checkpoint.", checkpoint_step),
            ("epoch_duration_seconds", "Wall time of the newest epoch.", newest.epoch_duration),
            ("samples_per_second", "Samples per second in the newest epoch.", newest.samples_per_second),
            ("nonfinite_metrics", "Metrics whose newest value is NaN or infinite.", nonfinite),
            ("start_timestamp_seconds", "When the run started.", self.started),
            ("last_update_timestamp_seconds", "When the run last made progress.", self.last_update),
            ("heartbeat_timestamp_seconds", "When the process last showed that it lives.", self.heartbeat),
            ("last_success_timestamp_seconds", "When the run finished without an error.", self.succeeded),
        ):
            yield _gauge(f"gangplank_run_{name}", text, value)
        yield Family(
            "gangplank_run_metric_epoch",
            "gauge",
            "The epoch that a metric's value is from.",
            [({"metric": name}, one.epoch) for name, one in self.metrics.items() if one.epoch is not None],
        )
        yield Family(
            "gangplank_run_metric_step",
            "gauge",
            "The step that a metric's value is from.",
            [({"metric": name}, one.step) for name, one in self.metrics.items() if one.step is not None],
        )

    def _counters(self) -> Iterator[Family]:
        yield Family(
            "gangplank_run_activity_seconds",
            "counter",
            "Where the time of the run went.",
            [({"activity": activity}, seconds) for activity, seconds in self.activities.items()],
        )
        # Each reason is exported from the start, at zero: a counter that first appears at 1 shows no increase.
        yield Family(
            "gangplank_run_export_failures",
            "counter",
            "Pushes of this run that failed.",
            [
                ({"destination": destination, "reason": reason}, counts.get(reason, 0))
                for destination, counts in self.failures.items()
                for reason in FAILURE_REASONS
            ],
        )
        yield Family(
            "gangplank_run_dropped_metrics",
            "counter",
            "Metrics that could not be exported.",
            [({"reason": reason}, self.newest.dropped.get(reason, 0)) for reason in DROP_REASONS],
        )

    def _weight_families(self, weights: Mapping[str, WeightCounts]) -> Iterator[Family]:
        name = f"gangplank_{self.phase}_model_weights"
        yield Family(
            name,
            "histogram",
            "Trainable weights that are finite, as they are now.",
            [
                (_labelled("tensor", tensor), Histogram(counted.edges, (*counted.counts, counted.total), counted.sum))
                for tensor, counted in weights.items()
            ],
        )
        yield Family(
            f"{name}_nonfinite",
            "gauge",
            "Trainable weights that are NaN or infinite.",
            [(_labelled("tensor", tensor), counted.nonfinite) for tensor, counted in weights.items()],
        )


def _step_families(times: StepTimes) -> Iterator[Family]:
    if any(times.counts):
        durations = Histogram(times.edges, tuple(accumulate(times.counts)), times.seconds)
        yield Family("gangplank_run_step_duration_seconds", "histogram", "How long the steps took.", [({}, durations)])
    for name, text, seconds in (
        ("data_wait", "Time that steps waited for their data.", times.data_wait),
        ("forward", "Time from the beginning of a step to its backward pass.", times.forward),
    ):
        if seconds is not None:
            yield Family(f"gangplank_run_{name}_seconds", "counter", text, [({}, seconds)])


def _gauge(name: str, text: str, value: float | None) -> Family:
    return Family(name, "gauge", text, [] if value is None else [({}, value)])


def _labelled(label: str, value: str) -> dict[str, str]:
    return {label: value} if value else {}
