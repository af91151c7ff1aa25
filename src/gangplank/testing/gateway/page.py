"""The text that is scraped: families, labels and numbers as the real gateway writes them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gangplank.core.exposition import go
from gangplank.testing.gateway.exposition import BOUND_LABELS, Metric

Labels = tuple[tuple[str, str], ...]  # pairs sorted by name


@dataclass(frozen=True, slots=True)
class Shelf:
    """A family as one group holds it: for each label set the finished lines."""

    kind: str
    help: str | None = None
    series: dict[Labels, str] = field(default_factory=dict)


def page(groups: Iterable[Mapping[str, Shelf]]) -> str:
    """Return the text of all groups: one block for each family name, under the first HELP there is."""
    blocks: dict[str, list[Shelf]] = {}
    for group in groups:
        for name, shelf in group.items():
            blocks.setdefault(name, []).append(shelf)
    text = []
    for name, shelves in sorted(blocks.items()):
        helps = [shelf.help for shelf in shelves if shelf.help is not None]
        text += [f"# HELP {name} {_escaped(help_text)}\n" for help_text in helps[:1]]
        text.append(f"# TYPE {name} {shelves[0].kind}\n")
        text += [lines for shelf in shelves for lines in shelf.series.values()]
    return "".join(text)


def lines_of(name: str, kind: str, labels: Labels, metric: Metric) -> str:
    """Return the lines of one series; a histogram gets its `+Inf` bucket, a sum or count that was not pushed is 0."""
    if kind not in BOUND_LABELS:
        return _line(name, labels, metric.value)
    points, count, suffix = metric.points, metric.count, ""
    if kind == "summary":
        count = _whole(count)
    else:
        suffix = "_bucket"
        if all(bound != math.inf for bound, _ in points):
            points = [*points, (math.inf, count)]
    bounds = [_line(name + suffix, (*labels, (BOUND_LABELS[kind], go(bound))), value) for bound, value in points]
    totals = [_line(name + "_sum", labels, metric.sum), _line(name + "_count", labels, count)]
    return "".join(bounds + totals)


def _line(name: str, labels: Labels, value: float) -> str:
    pairs = ",".join(f'{label}="{_escaped(text, quote=True)}"' for label, text in labels)
    return f"{name}{{{pairs}}} {go(value)}\n"


def _escaped(text: str, *, quote: bool = False) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quote else text


def _whole(count: float) -> float:
    """Return a count as it comes out of Go's uint64, on the amd64 machines where the real gateway was measured."""
    return float(int(count) % 2**64 if -(2**63) <= count < 2**64 else 2**63)
