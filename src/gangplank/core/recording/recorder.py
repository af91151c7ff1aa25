"""The arguments of `Run.record` become one frozen Snapshot, on the caller's thread."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from gangplank.core.errors import MetricError
from gangplank.core.log import Log, describe
from gangplank.core.recording.numbers import Selection, scalar, whole
from gangplank.core.recording.steps import StepMetrics, Steps
from gangplank.core.settings import Settings
from gangplank.core.types import Snapshot
from gangplank.core.weights.arrays import named_tensors, parameters_in
from gangplank.core.weights.histogram import WeightCounts, count_tensors

# Tensors that could not be counted and are remembered; each further one is counted whenever it is recorded.
_MOST_LOST = 10_000


class Recorder:
    """Makes the snapshots of one run; if one part cannot be exported, the others still are.

    Args:
        settings: of the exporter.
        log: reports dropped parts.

    Attributes:
        epoch: the one that was recorded last, from 0; None before the first.
        parameters: how many are trainable, and how many are not, as recorded last.
    """

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings = settings
        self._log = log
        self._selection = Selection(settings.metrics, log=log, raises=not settings.ignore_exceptions)
        self.steps = Steps(settings.update_every, settings.shortest_push_interval)
        self._mark: float | None = None  # when the epoch began, None if that is unknown
        self.epoch: int | None = None
        self._step: int | None = None
        self.parameters: tuple[int, int] | None = None
        self._lost: set[str] = set()  # tensors that could not be counted

    def begin_epoch(self) -> None:
        """Time the epoch from here."""
        self._mark = time.monotonic()

    def snapshot(
        self,
        metrics: Mapping[str, Any] | None,
        *,
        epoch: int | None,
        step: int | None,
        samples: float | None,
        seconds: float | None,
        learning_rates: Mapping[Any, Any] | float | None,
        parameters: tuple[int, int] | None,
        weights: Any,
        computed: Mapping[str, Any] | None,
    ) -> Snapshot:
        """Return the snapshot of one call of `Run.record`, which documents the arguments."""
        epoch, position = self._log.read("epoch", epoch, whole), self._log.read("step", step, whole)
        samples, seconds = self._log.read("samples", samples, scalar), self._log.read("seconds", seconds, scalar)
        duration = None
        if epoch is not None and epoch != self.epoch:  # the first of several records of one epoch times it
            now = time.monotonic()
            duration = None if self._mark is None else now - self._mark
            self._mark, self.epoch = now, epoch
        values, dropped = self._selection.scalars(metrics or {})
        own, dropped_own = self._selection.scalars(computed or {})
        dropped.update(dropped_own)
        self._step = self._step if position is None else position
        rates: dict[str, float] = {}
        if learning_rates is not None:
            one_or_more = learning_rates if isinstance(learning_rates, Mapping) else {"": learning_rates}
            rates, dropped_rates = self._selection.all_scalars(one_or_more)
            dropped.update(dropped_rates)
        if rates:
            self._selection.appeared("learning_rate")
        counted: tuple[int, int] | None = None
        with self._log.guard("counting the parameters"):
            if parameters is not None:
                trainable, others = parameters
                counted = int(trainable), int(others)
            elif weights is not None:
                counted = parameters_in(weights)
        self.parameters = counted or self.parameters
        steps: dict[str, float] = {}
        of_steps = epoch is None and position is not None
        metrics_step = position if of_steps else None
        if epoch is not None:
            self.steps.epoch_has_ended(position)
            newest = self.steps.newest()
            if newest.prefix:  # without one, the metrics of the epoch have the same names
                steps, dropped_steps = self._named(newest)
                dropped.update(dropped_steps)
                metrics_step = newest.step
        took = seconds or duration
        return Snapshot(
            values,
            computed=own,
            step_metrics=steps,
            steps_apart=bool(steps),
            metrics_step=metrics_step,
            epoch=None if epoch is None else epoch + 1,
            step=position,
            epoch_duration=duration,
            samples_per_second=samples / took if samples and took else None,
            step_times=self.steps.times(),
            learning_rates=rates,
            parameters=counted,
            weights=self._counted(weights, dropped) if weights is not None and self._weights_due(epoch) else None,
            dropped=dropped,
            of_steps=of_steps,
        )

    @property
    def step(self) -> int | None:
        """Return how many optimizer steps were recorded last; None before the first."""
        return max((one for one in (self._step, self.steps.position) if one is not None), default=None)

    def step_snapshot(self) -> Snapshot:
        """Return the snapshot of the steps since the last one."""
        newest = self.steps.newest()
        metrics, dropped = self._named(newest)
        own, dropped_own = self._selection.scalars(newest.computed)
        dropped.update(dropped_own)
        return Snapshot(
            of_steps=True,
            step=self.step,
            computed=own,
            step_metrics=metrics,
            steps_apart=bool(newest.prefix),
            metrics_step=newest.step,
            step_times=self.steps.times(),
            dropped=dropped,
        )

    def _named(self, metrics: StepMetrics) -> tuple[dict[str, float], Counter[str]]:
        values, dropped = self._selection.scalars(metrics.logged)
        return {f"{metrics.prefix}{name}": value for name, value in values.items()}, dropped

    def report_missing(self, phase: str) -> None:
        """Log which of the selected metrics never appeared."""
        self._selection.report_missing(phase)

    def _weights_due(self, epoch: int | None) -> bool:
        frequency = self._settings.histogram_freq
        return self._settings.edges is not None and (epoch is None or (frequency > 0 and (epoch + 1) % frequency == 0))

    def _counted(self, weights: Any, dropped: Counter[str]) -> dict[str, WeightCounts] | None:
        """Count the weights, None if that fails: the metrics are exported all the same."""
        edges, most = self._settings.edges or (), self._settings.tensors
        lost: dict[str, Exception] = {}
        with self._log.guard("counting the weights"):
            counted, others = count_tensors(named_tensors(weights), edges, most, lost)
            if others:
                self._log.warn_once(
                    "tensors", 'The %s largest tensors are exported; %s others as tensor="other"', most, others
                )
            self._report_lost(lost, dropped)
            return counted or None
        dropped["weights"] += 1
        return None

    def _report_lost(self, lost: Mapping[str, Exception], dropped: Counter[str]) -> None:
        """Count and report the tensors that could not be counted, each once in a run."""
        for name, error in lost.items():
            if not self._settings.ignore_exceptions:
                raise MetricError(f"the tensor {name!r} cannot be counted: {error}", "weights") from error
        new = lost.keys() - self._lost
        dropped["weights"] += len(new)
        if len(self._lost) < _MOST_LOST:
            self._lost |= new
        why = {name: error if isinstance(error, MetricError) else describe(error) for name, error in lost.items()}
        message = "The weights %s are not counted: %s"
        self._log.warn_of_each(message, {name: (repr(name), why[name]) for name in sorted(new)})
