"""The frozen data that travels: from a run to the hooks, and from the ledger to the sinks."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gangplank.core.errors import DeliveryError
from gangplank.core.histogram import WeightCounts


@dataclass(frozen=True, slots=True)
class Group:
    """Which group of metrics a page replaces on a gateway.

    Attributes:
        labels: the grouping key in the order of the URL: `job`, `phase`, then the user's, then `run` where runs of one
            job are concurrent.
    """

    labels: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.labels)


class RunView(Protocol):
    """A run as the hooks see it: to read."""

    @property
    def group(self) -> Group:
        """The grouping key: job, phase and the user's."""

    @property
    def name(self) -> str | None:
        """The `run` label, or None where there is none."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a stranger's plugin gets of a run."""

    group: Group
    name: str | None


@dataclass(frozen=True, slots=True)
class StepTimes:
    """How long all steps of a run took so far.

    Attributes:
        edges: upper bounds in seconds, increasing; shape (n,).
        counts: how many steps fall between each edge and the one before, then those above the last; shape (n + 1,).
        seconds: that all of them took.
        data_wait: seconds in which the steps waited for their data, where that is known.
        forward: seconds from the beginning of a step to its backward pass, where that is known.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    seconds: float
    data_wait: float | None = None
    forward: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one call of `Run.record` says, or the newest of `Run.step`. What it leaves out keeps its newest value.

    Attributes:
        metrics: float64 by the framework's own names.
        step_metrics: those of the newest step, which are no epoch's.
        step_times: of all steps so far.
        epoch: epochs completed since the first of all, resumed ones included.
        step: optimizer steps since the first of all.
        epoch_duration: seconds that the newest epoch took.
        samples_per_second: samples seen in the newest epoch, per second.
        learning_rates: by optimizer; a single optimizer's name is "".
        parameters: how many parameters are trainable, and how many are not.
        weights: the counts of the trainable weights, all together under "", or by tensor.
        dropped: how many metrics could not be exported, by reason.
        of_steps: whether it is from within an epoch, and need not be shown at once.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    step_metrics: Mapping[str, float] = field(default_factory=dict)
    step_times: StepTimes | None = None
    epoch: int | None = None
    step: int | None = None
    epoch_duration: float | None = None
    samples_per_second: float | None = None
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    parameters: tuple[int, int] | None = None
    weights: Mapping[str, WeightCounts] | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    of_steps: bool = False


class Outcome(enum.StrEnum):
    """How a run ended."""

    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"

    @classmethod
    def of(cls, error: BaseException | None) -> Outcome:
        """Return the outcome of a run that ended with this exception, or with none."""
        if error is None:
            return cls.FINISHED
        return cls.INTERRUPTED if isinstance(error, KeyboardInterrupt | SystemExit) else cls.FAILED


@dataclass(frozen=True, slots=True)
class Delivery:
    """How one attempt to send a run's page ended.

    Attributes:
        to: the destination's address, without credentials.
        seconds: how long the attempt took.
        error: why the page did not arrive, or None where it did.
    """

    to: str
    seconds: float
    error: DeliveryError | None = None


@dataclass(frozen=True, slots=True)
class Adapter:
    """A framework that a plugin adapts, all in text.

    Attributes:
        name: of the adapter; no two may have the same.
        framework: the module that must be there for it to work, such as `lightgbm`.
        exporter: `module:name` of what a user puts into a training: called with an address and a job.
        install: the command that installs what it needs, for who lacks it.
    """

    name: str
    framework: str
    exporter: str
    install: str
