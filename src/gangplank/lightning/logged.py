"""The metrics that a module has logged since it was last asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

from gangplank._torch.scalars import HostScalars


def logged_by(trainer: Any) -> dict[str, Any]:
    """Return what Lightning has computed so far of the metrics that the module logs, by name.

    The property `trainer.callback_metrics` computes the others too: that may be a collective operation, which blocks
    until the other processes take part, and copies the values of the progress bar from the device.
    """
    metrics: dict[str, Any] = trainer._logger_connector._callback_metrics  # noqa: SLF001  see above
    return metrics


class NewMetrics:
    """The metrics that are new since they were last read.

    Lightning keeps old values, and makes a new tensor for each new value. In each step, it makes new tensors for all
    that the epoch has logged by step, so these are new each time.
    """

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def of(self, trainer: Any) -> dict[str, Any]:
        """Return the metrics that are new."""
        return self._take(dict(logged_by(trainer)), self._known)

    def of_step(self, trainer: Any) -> StepMetrics:
        """Return the metrics that are new after a step; they are compared when they are read."""
        return StepMetrics(partial(self._take, dict(logged_by(trainer)), self._known))

    def _take(self, now: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
        if self._known is before:  # else this step is read late, after newer metrics
            self._known = now
        return {name: value for name, value in now.items() if before.get(name) is not value}


class StepMetrics(HostScalars):
    """The metrics that are new after a step. Most steps are never read, so they are only compared when they are read.

    A metric logged both by step and by epoch has the step's value under its plain name too, until the epoch's replaces
    it: it is left out here.
    """

    def __init__(self, take: Callable[[], dict[str, Any]]) -> None:
        self._take = take

    @cached_property
    def _values(self) -> Mapping[str, Any]:  # type: ignore[override]  # both are only read
        new = self._take()
        return {name: value for name, value in new.items() if f"{name}_step" not in new}
