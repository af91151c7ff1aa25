"""What the user asked for, checked at construction: a mistake costs no training."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real

from gangplank.core.buckets import edges_of
from gangplank.core.errors import ConfigurationError
from gangplank.core.info import INFO_LABELS
from gangplank.core.naming import check_labels, check_value


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of an exporter, as its constructor documents them.

    Attributes:
        edges: of the weight histogram, or None for no histogram.
        name: of each run: "auto" for one that is made, None for no `run` label.
        disabled: whether `GANGPLANK_DISABLED` is set.
    """

    job: str
    grouping_key: Mapping[str, str]
    name: str | None
    concurrent: bool
    info: Mapping[str, str]
    metrics: frozenset[str] | None
    edges: tuple[float, ...] | None
    histogram_freq: int
    ignore_exceptions: bool
    disabled: bool


def check_settings(
    *,
    job: str,
    grouping_key: Mapping[str, object] | None,
    run: str | None,
    concurrent: bool,
    info: Mapping[str, object] | None,
    metrics: Iterable[str] | None,
    histogram_buckets: Iterable[float] | None,
    histogram_freq: int,
    ignore_exceptions: bool,
) -> Settings:
    """Return the settings, or raise ConfigurationError with the cure."""
    if concurrent and run is None:
        raise ConfigurationError(
            "concurrent=True tells runs apart by their `run` label: leave run= out, or name the run"
        )
    checked_info = check_labels("info", info)
    return Settings(
        job=check_value("job", job),
        grouping_key=check_labels("grouping_key", grouping_key, reserved=(*INFO_LABELS, *checked_info)),
        name=run if run is None else check_value("run", run),
        concurrent=concurrent,
        info=checked_info,
        metrics=None if metrics is None else _metric_names(metrics),
        edges=None if histogram_buckets is None else edges_of(histogram_buckets),
        histogram_freq=_frequency(histogram_freq),
        ignore_exceptions=ignore_exceptions,
        disabled=os.environ.get("GANGPLANK_DISABLED", "").lower() not in ("", "0", "false"),
    )


def check_seconds(what: str, seconds: float, *, zero: bool = False) -> float:
    """Return a number of seconds that is finite and above zero (or zero, where that means something)."""
    if not isinstance(seconds, Real) or not math.isfinite(seconds) or seconds < 0 or (seconds == 0 and not zero):
        raise ConfigurationError(f"{what}={seconds!r}: give seconds, {'zero or more' if zero else 'more than zero'}")
    return float(seconds)


def _metric_names(metrics: Iterable[str]) -> frozenset[str]:
    if isinstance(metrics, str):
        raise ConfigurationError(f'metrics={metrics!r}: give a list of names, such as metrics=["{metrics}"]')
    names = list(metrics)
    for name in names:
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"metrics holds {name!r}: a metric's name is text, as the framework logs it")
    return frozenset(names)


def _frequency(histogram_freq: int) -> int:
    if not isinstance(histogram_freq, int) or isinstance(histogram_freq, bool) or histogram_freq < 0:
        raise ConfigurationError(
            f"histogram_freq={histogram_freq!r}: give n for every n epochs and the end, or 0 for the end only"
        )
    return histogram_freq
