"""The frozen data that runs, hooks and sinks exchange."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Protocol

from gangplank.core.errors import DeliveryError
from gangplank.core.weights.histogram import WeightCounts


@dataclass(frozen=True, slots=True)
class Group:
    """The group of metrics on a gateway that a page replaces.

    Attributes:
        labels: the grouping key in the order of the URL: `job`, `phase`, the user's labels, then `run` if runs of one
            job are concurrent, and `rank` if each rank exports.
    """

    labels: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.labels)


class RunView(Protocol):
    """A run as the hooks see it: read-only."""

    @property
    def group(self) -> Group:
        """The grouping key: `job`, `phase` and the user's labels."""

    @property
    def name(self) -> str | None:
        """The `run` label, None if there is none."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What observers receive of a run."""

    group: Group
    name: str | None


@dataclass(frozen=True, slots=True)
class StepTimes:
    """The durations of all steps of a run so far.

    Attributes:
        edges: upper bounds in seconds, increasing; shape (n,).
        counts: how many steps took at most each edge, and longer than the one before; the last count is of those above
            all edges; shape (n + 1,).
        seconds: the sum of the durations.
        data_wait: seconds that the steps waited for their data, None if that is unknown.
        forward: seconds from the beginning of each step to its backward pass, None if that is unknown.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    seconds: float
    data_wait: float | None = None
    forward: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The values of one call of `Run.record`, or the newest values of `Run.step`. What is missing has not changed.

    Attributes:
        metrics: float64, by the framework's own names.
        computed: those that the adapter has computed.
        step_metrics: those of the newest step; none of them belongs to an epoch.
        metrics_step: the step that `step_metrics` are from; if `of_steps`, all metrics are. None if it is unknown.
        steps_apart: whether their names have a prefix, which keeps them apart from those of epochs.
        step_times: the durations of all steps so far.
        epochs_planned: the planned number of epochs, those before a resume included.
        epoch: completed epochs, those before a resume included.
        steps_planned: the planned number of optimizer steps, those before a resume included.
        resumed_from_step: how many optimizer steps were completed before the run.
        step: completed optimizer steps, those before a resume included.
        checkpoint: the Unix time of the newest checkpoint, and its step if that is known.
        epoch_duration: seconds that the newest epoch took.
        samples_per_second: of the newest epoch.
        learning_rates: by optimizer; the name of a single optimizer is "".
        parameters: how many parameters are trainable, and how many are not.
        weights: the counts of the trainable weights by tensor, or of all weights under "".
        dropped: how many metrics could not be exported, by reason.
        of_steps: whether it was made within an epoch, and is pushed at the push interval instead of at once.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    computed: Mapping[str, float] = field(default_factory=dict)
    step_metrics: Mapping[str, float] = field(default_factory=dict)
    steps_apart: bool = False
    metrics_step: int | None = None
    step_times: StepTimes | None = None
    epochs_planned: int | None = None
    epoch: int | None = None
    steps_planned: int | None = None
    resumed_from_step: int | None = None
    step: int | None = None
    checkpoint: tuple[float, int | None] | None = None
    epoch_duration: float | None = None
    samples_per_second: float | None = None
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    parameters: tuple[int, int] | None = None
    weights: Mapping[str, WeightCounts] | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    of_steps: bool = False

    def updated(self, newer: Snapshot) -> Snapshot:
        """Return the values of `newer`, and those of this one that `newer` lacks; counts of dropped metrics add up."""
        changed = {one.name: value for one in fields(newer) if (value := getattr(newer, one.name)) not in (None, {})}
        return replace(self, **{**changed, "dropped": Counter(self.dropped) + Counter(newer.dropped)})


class Outcome(enum.StrEnum):
    """How a run ended."""

    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @classmethod
    def of(cls, error: BaseException | None) -> Outcome:
        """Return the outcome of a run that ended with this exception, None for no exception."""
        if error is None:
            return cls.FINISHED
        return cls.INTERRUPTED if isinstance(error, KeyboardInterrupt | SystemExit) else cls.FAILED


@dataclass(frozen=True, slots=True)
class Delivery:
    """How one attempt to send a run's page ended.

    Attributes:
        to: the destination's address, without credentials.
        seconds: how long the attempt took.
        error: why the page did not arrive, None if it did.
    """

    to: str
    seconds: float
    error: DeliveryError | None = None


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter for one framework, as text only, so that nothing needs to be imported.

    Attributes:
        name: of the adapter; must be unique.
        framework: the module that the adapter needs, such as `lightgbm`.
        exporter: `module:name` of the class that users train with; it is called with an address and a job.
        install: the command that installs the adapter and its framework.
    """

    name: str
    framework: str
    exporter: str
    install: str
