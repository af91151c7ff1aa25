"""What a run is told -> one frozen Snapshot, on the caller's thread."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from gangplank.core.arrays import arrays_of, named_arrays, parameters_in
from gangplank.core.histogram import WeightCounts, count_tensors, count_weights
from gangplank.core.report import Report
from gangplank.core.selection import Selection
from gangplank.core.settings import Settings
from gangplank.core.snapshot import Snapshot
from gangplank.core.steps import Steps


class Recorder:
    """Makes the snapshots of one run; a part that cannot be exported costs no other part.

    Args:
        settings: which metrics, which edges, how often.
        report: where dropped parts are reported.
    """

    def __init__(self, settings: Settings, report: Report) -> None:
        self._settings = settings
        self._report = report
        self._selection = Selection(settings.metrics, report=report, raises=not settings.ignore_exceptions)
        self.steps = Steps(settings.update_every, settings.push_interval)
        self._mark: float | None = None  # when the epoch began, where anybody has said
        self._timed: int | None = None  # the epoch that was recorded last
        self.parameters: tuple[int, int] | None = None  # as recorded last

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
    ) -> Snapshot:
        """Return what `Run.record` was told; its arguments are those of that."""
        duration = None
        if epoch is not None and epoch != self._timed:  # of several records of one epoch, the first times it
            now = time.monotonic()
            duration = None if self._mark is None else now - self._mark
            self._mark, self._timed = now, epoch
        values, dropped = self._selection.scalars(metrics or {})
        position = None
        if step is not None:
            with self._report.guard("reading the step"):
                position = int(step)
        rates: dict[str, float] = {}
        if learning_rates is not None:
            one_or_more = learning_rates if isinstance(learning_rates, Mapping) else {"": learning_rates}
            rates, dropped_rates = self._selection.all_scalars(one_or_more)
            dropped.update(dropped_rates)
        if parameters is None and weights is not None:
            with self._report.guard("counting the parameters"):
                parameters = parameters_in(weights)
        self.parameters = parameters or self.parameters
        steps: dict[str, float] = {}
        if epoch is not None:
            self.steps.epoch_has_ended(position)
            newest, prefix = self.steps.newest()
            if prefix:  # else the epoch has these names itself
                steps, dropped_steps = self._named(newest, prefix)
                dropped.update(dropped_steps)
        took = seconds or duration
        return Snapshot(
            values,
            step_metrics=steps,
            epoch=None if epoch is None else epoch + 1,
            step=position,
            epoch_duration=duration,
            samples_per_second=samples / took if samples and took else None,
            step_times=self.steps.times(),
            learning_rates=rates,
            parameters=parameters,
            weights=self._counted(weights, dropped) if weights is not None and self._weights_due(epoch) else None,
            dropped=dropped,
        )

    def step_snapshot(self) -> Snapshot:
        """Return what the steps since the last snapshot said."""
        metrics, dropped = self._named(*self.steps.newest())
        return Snapshot(
            of_steps=True,
            step=self.steps.position,
            step_metrics=metrics,
            step_times=self.steps.times(),
            dropped=dropped,
        )

    def _named(self, metrics: Mapping[str, Any], prefix: str) -> tuple[dict[str, float], Counter[str]]:
        values, dropped = self._selection.scalars(metrics)
        return {f"{prefix}{name}": value for name, value in values.items()}, dropped

    def report_missing(self, phase: str) -> None:
        """Say which of the metrics that the user asked for never appeared."""
        self._selection.report_missing(phase)

    def _weights_due(self, epoch: int | None) -> bool:
        frequency = self._settings.histogram_freq
        return self._settings.edges is not None and (epoch is None or (frequency > 0 and (epoch + 1) % frequency == 0))

    def _counted(self, weights: Any, dropped: Counter[str]) -> dict[str, WeightCounts] | None:
        """Count the weights; a problem with them costs no metric."""
        edges, tensors = self._settings.edges or (), self._settings.tensors
        with self._report.guard("counting the weights"):
            if not tensors:
                return {"": count_weights(arrays_of(weights), edges)}
            counted, others = count_tensors(named_arrays(weights), edges, tensors)
            if others:
                self._report.once(
                    "tensors", 'The %s largest tensors are exported; %s others as tensor="other"', tensors, others
                )
            return counted
        dropped["weights"] += 1
        return None
