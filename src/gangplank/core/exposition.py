"""The text of many histograms of one family: prometheus_client's own, line by line, in a fraction of its time."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping

from prometheus_client.utils import floatToGoString

from gangplank.core.histogram import WeightCounts

# Histograms that are written in one go; then another thread may have its turn, such as the one that trains.
_AT_ONCE = 50
# From here on prometheus_client writes an exponent.
_LARGE = 1_000_000


def histogram_text(name: str, labels: Mapping[str, str], by_tensor: Mapping[str, WeightCounts]) -> Iterator[str]:
    """Yield the lines of each tensor's histogram, labelled `tensor`.

    Args:
        name: of the family.
        labels: what labels every sample besides.
        by_tensor: the counts.
    """
    for place, (tensor, counted) in enumerate(by_tensor.items()):
        if place % _AT_ONCE == _AT_ONCE - 1:
            time.sleep(0)
        pairs = sorted({**labels, "tensor": tensor}.items())
        before = "".join(f'{label}="{_escaped(value)}",' for label, value in pairs if label < "le")
        after = "".join(f',{label}="{_escaped(value)}"' for label, value in pairs if label > "le")
        bounds = zip(upper_bounds(counted.edges), (*counted.counts, counted.total), strict=True)
        head = f'{name}_bucket{{{before}le="'
        yield "".join(f'{head}{edge}"{after}}} {_whole(count)}\n' for edge, count in bounds)
        both = f"{before}{after.removeprefix(',')}"
        yield f"{name}_sum{{{both}}} {go(counted.sum)}\n{name}_count{{{both}}} {_whole(counted.total)}\n"


@functools.lru_cache(maxsize=8)
def upper_bounds(edges: tuple[float, ...]) -> tuple[str, ...]:
    """Return the `le` labels of a histogram's buckets."""
    return *map(go, edges), "+Inf"


def go(number: float) -> str:
    """Return a number as Prometheus writes it."""
    text: str = floatToGoString(number)  # type: ignore[no-untyped-call]
    return text


def _whole(count: int) -> str:
    return f"{count}.0" if count < _LARGE else go(float(count))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
