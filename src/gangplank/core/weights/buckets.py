"""Edges of the weight histogram."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any

from gangplank.core.errors import ConfigurationError

#: 13 edges, -0.3 to 0.3 by 0.05; each is the nearest float to its decimal.
HISTOGRAM_WEIGHT_BUCKETS_0_3 = tuple(edge / 100 for edge in range(-30, 31, 5))
#: 21 edges, -1.0 to 1.0 by 0.1; each is the nearest float to its decimal.
HISTOGRAM_WEIGHT_BUCKETS_1_0 = tuple(edge / 10 for edge in range(-10, 11))
#: 31 edges, the same for every run: 0, and powers of two from 2**-12 to 4 on either side.
HISTOGRAM_WEIGHT_BUCKETS_AUTO = (
    *(-(2.0**power) for power in range(2, -13, -1)),
    0.0,
    *(2.0**power for power in range(-12, 3)),
)
# Tensors that `per_tensor=True` counts separately, and the series that they may take.
MOST_TENSORS, MOST_WEIGHT_SERIES = 50, 1_200
# A page has up to 2,000 series.
MOST_EDGES = 150


def edges_of(buckets: Iterable[float] | str) -> tuple[float, ...]:
    """Return the edges as float64, in order.

    Args:
        buckets: finite numbers, strictly increasing, 1 to 150 of them. The bucket up to +Inf is always added.

    Raises:
        ConfigurationError: they are not such numbers.
    """
    if isinstance(buckets, str | bytes):
        raise ConfigurationError(
            f'histogram_buckets={buckets!r}: give "auto", or numbers such as HISTOGRAM_WEIGHT_BUCKETS_0_3'
        )
    try:
        given = list(buckets)
    except TypeError:
        raise ConfigurationError(
            f"histogram_buckets={buckets!r}: give a sequence of numbers, such as HISTOGRAM_WEIGHT_BUCKETS_0_3"
        ) from None
    if not given:
        raise ConfigurationError("histogram_buckets is empty: give at least one edge, or leave it out for no histogram")
    if len(given) > MOST_EDGES:
        raise ConfigurationError(
            f"histogram_buckets has {len(given)} edges: each is a series, so give {MOST_EDGES} at most"
        )
    edges: list[float] = []
    for edge in given:
        number = _number(edge)
        if not math.isfinite(number):
            raise ConfigurationError(
                f"histogram_buckets holds {edge!r}: edges are finite numbers (the +Inf bucket is always added)"
            )
        edges.append(number + 0.0)  # -0.0 becomes 0.0: they are one bucket
    for lower, upper in itertools.pairwise(edges):
        if lower >= upper:
            raise ConfigurationError(f"histogram_buckets must increase strictly: {lower} comes before {upper}")
    return tuple(edges)


def _number(edge: Any) -> float:
    """Return a number, or a 0-d array, as a float; NaN for anything else."""
    try:
        return math.nan if isinstance(edge, str | bytes) or len(getattr(edge, "shape", ())) else float(edge)
    except (TypeError, ValueError, OverflowError):
        return math.nan
