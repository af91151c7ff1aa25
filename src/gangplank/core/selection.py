"""Which of the recorded metrics are exported, and as what numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from gangplank.core.errors import MetricError
from gangplank.core.naming import check_metric
from gangplank.core.report import Report
from gangplank.core.scalar import scalar


class Selection:
    """The metrics of one run that the user wants.

    Args:
        wanted: their names; None for every one that is a number.
        report: where what is dropped is reported.
        raises: raise at a wanted metric that cannot be exported, instead of dropping it.
    """

    def __init__(self, wanted: frozenset[str] | None, *, report: Report, raises: bool) -> None:
        self._wanted = wanted
        self._report = report
        self._raises = raises
        self._missing = set(wanted or ())
        self._any = False

    def scalars(self, metrics: Mapping[str, Any]) -> tuple[dict[str, float], Counter[str]]:
        """Return the wanted metrics as float64, and how many were dropped, by reason.

        Raises:
            MetricError: a metric cannot be exported, and `raises`.
        """
        self._any = self._any or bool(metrics)
        values: dict[str, float] = {}
        dropped: Counter[str] = Counter()
        for name, value in metrics.items():
            if self._wanted is not None:
                if name not in self._wanted:
                    continue
                self._missing.discard(name)
            try:
                # The tests here are for speed: they save the calls for what is right, as nearly all is.
                name = name if type(name) is str and name else check_metric(name)  # noqa: PLW2901
                values[name] = value if type(value) is float else scalar(value)
            except MetricError as error:
                # Unless it was asked for by name, a value that is no number is simply not one of the numeric ones.
                if self._raises and (self._wanted is not None or error.reason == "too_large"):
                    raise MetricError(f"the metric {name!r} cannot be exported: {error}", error.reason) from None
                dropped[error.reason] += 1
                self._report.once(f"drop {name!r:.200}", "The metric %s is not exported: %s", f"{name!r:.200}", error)
        return values, dropped

    def all_scalars(self, numbers: Mapping[Any, Any]) -> tuple[dict[str, float], Counter[str]]:
        """Return numbers that were not selected, by name; one that is none is dropped, counted and reported."""
        values: dict[str, float] = {}
        dropped: Counter[str] = Counter()
        for name, value in numbers.items():
            try:
                values[str(name).encode(errors="replace").decode()] = scalar(value)
            except MetricError as error:
                dropped[error.reason] += 1
                self._report.once(f"drop rate {name!r:.200}", "The learning rate %s is not exported: %s", name, error)
        return values, dropped

    def report_missing(self, phase: str) -> None:
        """Report wanted metrics that never came; `val_` ones can only come in a fit."""
        for name in sorted(self._missing if self._any else ()):
            if phase == "train" or not name.startswith("val_"):
                self._report.once(f"missing {name}", "The metric %s was asked for and never appeared", repr(name))
