"""Curves and bars: as characters for a terminal, and as SVG for a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from gangplank.cli.watch.words import Points

_LEVELS = "▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉"
_NOT_FINITE = "!"
_HALF = 0.5


def columns(points: Points, count: int) -> list[float]:
    """Return the value of a curve at equal distances of time, the newest last; fewer if there are fewer points."""
    if len(points) <= count or points[-1][0] <= points[0][0]:
        return [value for _, value in points[-count:]]
    start, end = points[0][0], points[-1][0]
    values, index = [], 0
    for column in range(count):
        until = start + (end - start) * (column + 1) / count
        while index + 1 < len(points) and points[index + 1][0] <= until:
            index += 1
        values.append(points[index][1])
    values[-1] = points[-1][1]
    return values


def sparkline(points: Points, width: int) -> str:
    """Return a curve as a line of characters, from its lowest value to its highest; `!` is NaN or infinite."""
    values = columns(points, width)
    low, high = _limits(values)
    return "".join(
        _LEVELS[round(_height(value, low, high) * 7)] if math.isfinite(value) else _NOT_FINITE for value in values
    )


def bar(fraction: float, width: int) -> str:
    """Return a bar of characters; only a whole is drawn full, and only nothing empty."""
    eighths = max(0, min(width * 8, int(fraction * width * 8)))
    full, rest = divmod(max(eighths, 1) if fraction > 0 else 0, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(width)


def curve(points: Points, label: str, size: tuple[int, int] = (120, 28)) -> str:
    """Return a curve as SVG: a line for what is finite, and ticks at the bottom for what is not.

    Args:
        points: times and values, the oldest first.
        label: what a screen reader says.
        size: width and height of its coordinates; the page stretches it.
    """
    width, height = size
    low, high = _limits([value for _, value in points])
    start, end = (points[0][0], points[-1][0]) if points else (0.0, 0.0)
    pad, span = 2, max(end - start, 1e-9)
    strokes: list[list[str]] = [[]]
    ticks = []
    for time, value in points:
        x = pad + (width - 2 * pad) * ((time - start) / span if end > start else 1)
        if not math.isfinite(value):
            strokes.append([])
            ticks.append(f'<path class="bad" d="M{x:.1f} {height - 6}V{height}"/>')
            continue
        strokes[-1].append(f"{x:.1f} {pad + (height - 2 * pad) * (1 - _height(value, low, high)):.1f}")
    # A single point is drawn as a dot: a line of no length, with round ends.
    lines = "".join(f'<path d="M{"L".join(s if len(s) > 1 else s * 2)}"/>' for s in strokes if s)
    return (
        f'<svg class="curve" role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {height}" '
        f'preserveAspectRatio="none">{lines}{"".join(ticks)}</svg>'
    )


def bars(counts: Sequence[tuple[str, int]], label: str, size: tuple[int, int] = (320, 120)) -> str:
    """Return bars as SVG, with the first, the middle and the last name below them.

    Args:
        counts: the name and the height of each.
        label: what a screen reader says.
        size: width and height of its coordinates, the names included.
    """
    width, height = size
    largest = max((count for _, count in counts), default=0) or 1
    step, below = width / max(len(counts), 1), 14
    drawn = []
    for index, (name, count) in enumerate(counts):
        tall = (height - below) * max(count, 0) / largest
        box = f'x="{index * step + 1:.1f}" y="{height - below - tall:.1f}" width="{step - 2:.1f}" height="{tall:.1f}"'
        drawn.append(f"<rect {box}><title>{escape(name)}: {count:,}</title></rect>")
    named = {0: "start", len(counts) // 2: "middle", len(counts) - 1: "end"} if len(counts) > 2 else {}  # noqa: PLR2004
    for index, anchor in named.items():
        x = {"start": 0.0, "middle": (index + _HALF) * step, "end": float(width)}[anchor]
        drawn.append(f'<text x="{x:.1f}" y="{height - 2}" text-anchor="{anchor}">{escape(counts[index][0])}</text>')
    head = f'<svg class="bars" role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {height}">'
    return f"{head}{''.join(drawn)}</svg>"


def _limits(values: Sequence[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)]
    return (min(finite), max(finite)) if finite else (0.0, 0.0)


def _height(value: float, low: float, high: float) -> float:
    """Return where a value is between two limits, from 0 to 1; halfway if they are the same."""
    span = high / 2 - low / 2  # of two large numbers, the difference itself may be infinite
    return (value / 2 - low / 2) / span if span > 0 else _HALF
