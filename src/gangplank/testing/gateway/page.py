"""The text of `/metrics`: families, labels and numbers as the real gateway writes them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gangplank.core.page.families import go
from gangplank.testing.gateway.exposition import BOUND_LABELS, Metric

Labels = tuple[tuple[str, str], ...]  # pairs sorted by name


@dataclass(frozen=True, slots=True)
class StoredFamily:
    """A family in one group, with the lines of each label set."""

    kind: str
    help: str | None = None
    series: dict[Labels, str] = field(default_factory=dict)


def page(groups: Iterable[Mapping[str, StoredFamily]]) -> str:
    """Return the text of all groups: one block for each family, with the first HELP that was pushed."""
    blocks: dict[str, list[StoredFamily]] = {}
    for group in groups:
        for name, stored in group.items():
            blocks.setdefault(name, []).append(stored)
    text = []
    for name, families in sorted(blocks.items()):
        helps = [stored.help for stored in families if stored.help is not None]
        text += [f"# HELP {name} {_escaped(help_text)}\n" for help_text in helps[:1]]
        text.append(f"# TYPE {name} {families[0].kind}\n")
        text += [lines for stored in families for lines in stored.series.values()]
    return "".join(text)


def lines_of(name: str, kind: str, labels: Labels, metric: Metric) -> str:
    """Return the lines of one metric. A missing `+Inf` bucket is added; a sum or count that was not pushed is 0."""
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
    """Return a count after its conversion to Go's uint64, as on amd64."""
    return float(int(count) % 2**64 if -(2**63) <= count < 2**64 else 2**63)
