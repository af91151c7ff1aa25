"""Families of samples: what the text and prometheus_client's objects are both made from."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

from prometheus_client import Metric

# Outside of these bounds, Go writes an exponent.
_LARGEST_PLAIN_EXPONENT, _SMALLEST_PLAIN_EXPONENT = 5, -4


class Histogram(NamedTuple):
    """The value of a histogram.

    Attributes:
        edges: upper bounds, increasing; shape (n,).
        counts: how many values are <= each edge, and last how many there are; shape (n + 1,).
        sum: of all values.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float


class Family(NamedTuple):
    """The values of one name.

    Attributes:
        name: of the family; the samples of a counter have `_total` at the end.
        type: of the values.
        help: a fixed text.
        values: each with the labels that distinguish it from the others of the family.
    """

    name: str
    type: Literal["gauge", "counter", "histogram"]
    help: str
    values: Sequence[tuple[Mapping[str, str], float | Histogram]]

    def metric(self, labels: Mapping[str, str]) -> Metric:
        """Return the family as an object of prometheus_client, each sample with these labels in addition."""
        metric = Metric(self.name, self.help, self.type)
        name = sample_name(self.name, self.type)
        for own, value in self.values:
            all_labels = {**own, **labels}
            if not isinstance(value, Histogram):
                metric.add_sample(name, all_labels, float(value))
                continue
            for le, count in zip(upper_bounds(value.edges), value.counts, strict=True):
                metric.add_sample(f"{name}_bucket", {"le": le, **all_labels}, float(count))
            # prometheus_client's own histograms drop the sum if an edge is negative.
            metric.add_sample(f"{name}_sum", all_labels, value.sum)
            metric.add_sample(f"{name}_count", all_labels, float(value.counts[-1]))
        return metric


def sample_name(family: str, kind: str) -> str:
    """Return the name that the samples of a family have, or begin with, in Prometheus' text format."""
    return f"{family}_total" if kind == "counter" else family


@functools.lru_cache(maxsize=8)
def upper_bounds(edges: tuple[float, ...]) -> tuple[str, ...]:
    """Return the `le` labels of a histogram's buckets, written as a Pushgateway writes them.

    Prometheus 2 stores `le` as it is written: written differently, the buckets would be different series at each
    destination.
    """
    return *map(go, edges), "+Inf"


def go(number: float) -> str:
    """Return the shortest text that Go writes for a number: `1`, `1e+06`, `1e-05`, `+Inf`; minus zero is `0`."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    if number == 0:
        return "0"
    shortest = Decimal(repr(float(number))).normalize()
    exponent = shortest.adjusted()
    if _SMALLEST_PLAIN_EXPONENT <= exponent <= _LARGEST_PLAIN_EXPONENT:
        return f"{shortest:f}"
    return f"{shortest.scaleb(-exponent):f}e{exponent:+03d}"
