"""The text of many histograms of one family: prometheus_client's own, line by line, in a fraction of its time."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import chain

from prometheus_client import Metric
from prometheus_client.utils import floatToGoString

from gangplank.core.histogram import WeightCounts

# Of the text format; prometheus_client has a constant for it from 0.23 on only.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
WEIGHTS = "Trainable weights that are finite, as they are now."
NONFINITE = "Trainable weights that are NaN or infinite."
# Families or histograms that are written in one go, in a millisecond; then another thread may have its turn, such as
# the one that trains: it would wait for up to 5 ms.
_AT_ONCE = 50
# From here on prometheus_client writes an exponent.
_LARGE = 1_000_000
# Outside of these, Go does.
_LARGEST_PLAIN_EXPONENT, _SMALLEST_PLAIN_EXPONENT = 5, -4


def in_turns(families: Iterable[Metric]) -> Iterator[Metric]:
    """Yield families, and let another thread have its turn now and then."""
    for place, family in enumerate(families, start=1):
        yield family
        if place % _AT_ONCE == 0:
            time.sleep(0)


def tensors_text(name: str, labels: Mapping[str, str], by_tensor: Mapping[str, WeightCounts]) -> Iterator[bytes]:
    """Yield the family of each tensor's histogram, labelled `tensor`, and of its weights that are none, in pieces.

    Args:
        name: of the family.
        labels: what labels every sample besides.
        by_tensor: the counts.
    """
    nonfinite = [f"# HELP {name}_nonfinite {NONFINITE}\n# TYPE {name}_nonfinite gauge\n"]
    piece = [f"# HELP {name} {WEIGHTS}\n# TYPE {name} histogram\n"]
    templates: dict[tuple[tuple[float, ...], bool], str] = {}
    both = _both(labels)
    for place, (tensor, counted) in enumerate(by_tensor.items(), start=1):
        small = counted.total < _LARGE
        template = templates.get((counted.edges, small))
        if template is None:
            template = templates[counted.edges, small] = _template(name, labels, counted.edges, small=small)
        counts = (*counted.counts, counted.total)
        shown = _escaped(tensor)
        piece.append(
            template % tuple(chain.from_iterable((shown, count if small else _whole(count)) for count in counts))
        )
        own = both % shown
        piece.append(f"{name}_sum{own} {_value(counted.sum)}\n{name}_count{own} {_whole(counted.total)}\n")
        nonfinite.append(f"{name}_nonfinite{own} {_whole(counted.nonfinite)}\n")
        if place % _AT_ONCE == 0:
            yield "".join(piece).encode()
            piece = []
            time.sleep(0)
    yield "".join([*piece, *nonfinite]).encode()


def _template(name: str, labels: Mapping[str, str], edges: tuple[float, ...], *, small: bool) -> str:
    """Return the text of all buckets, to be filled with the tensor and the count of each in turn."""
    number = "%d.0" if small else "%s"
    return "".join(f"{name}_bucket{_both({**labels, 'le': edge})} {number}\n" for edge in upper_bounds(edges))


def _both(labels: Mapping[str, str]) -> str:
    """Return labels as prometheus_client sorts them, with a place for the tensor."""
    fixed = {label: _escaped(value).replace("%", "%%") for label, value in labels.items()}
    return "{" + ",".join(f'{label}="{value}"' for label, value in sorted({**fixed, "tensor": "%s"}.items())) + "}"


@functools.lru_cache(maxsize=8)
def upper_bounds(edges: tuple[float, ...]) -> tuple[str, ...]:
    """Return the `le` labels of a histogram's buckets, spelled as a Pushgateway spells them.

    Prometheus 2 stores `le` as it finds it: spelled otherwise, a bucket would be another series by each destination.
    """
    return *map(go, edges), "+Inf"


def go(number: float) -> str:
    """Return a number as programs in Go write it, shortest first: `1`, `1e+06`, `1e-05`, `+Inf`; minus zero is `0`."""
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


def _value(number: float) -> str:
    """Return the value of a sample as prometheus_client writes it."""
    text: str = floatToGoString(number)  # type: ignore[no-untyped-call]
    return text


def _whole(count: int) -> str:
    return f"{count}.0" if count < _LARGE else _value(float(count))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
