"""Plots a result as SVG: two logarithmic axes, and a line for each contestant."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from benchmarks.contest import Contest
from benchmarks.tables import contests_of

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 400, 70, 200, 40, 50
# Distinguishable by colour-blind people (Okabe and Ito).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
Points = Mapping[str, Sequence[tuple[float, float]]]


def plots(result: Mapping[str, Any]) -> dict[str, str]:
    """Return the plots by file name; one without points is left out."""
    contests = contests_of(result)
    growth: dict[str, list[tuple[float, float]]] = {}
    for contest in _of(contests, "Growth", " weights"):
        size = float(contest.what.removesuffix(" weights").replace(",", ""))
        for contestant in contest.rounds:
            growth.setdefault(contestant, []).append((size, size * contest.spread(contestant).median / 1e9))
    capacity: dict[str, list[tuple[float, float]]] = {}
    for contest in _of(contests, "A shared gateway", " series"):
        jobs, _, kind = contest.what.partition(" jobs of ")
        name = kind.partition(",")[0]
        for column, checked in (("pushes per second", ""), ("the same, unchecked", ", unchecked")):
            if column in contest.rounds:
                rate = contest.spread(column).median
                capacity.setdefault(f"{name}{checked}", []).append((float(jobs.replace(",", "")), rate))
    drawn = {
        "growth.svg": ("Counting weights, 13 edges, one core", "weights", "seconds", growth),
        "capacity.svg": (
            "Pushes per second to a shared Pushgateway",
            "jobs on the gateway",
            "pushes per second",
            capacity,
        ),
    }
    return {name: plot(*what) for name, what in drawn.items() if any(len(points) > 1 for points in what[-1].values())}


def _of(contests: Sequence[Contest], group: str, end: str) -> Iterator[Contest]:
    return (contest for contest in contests if contest.group == group and contest.what.endswith(end))


def plot(title: str, across: str, up: str, lines: Points) -> str:
    """Return an SVG of lines between points, both axes logarithmic."""
    xs, ys = (
        [math.log10(point[axis]) for points in lines.values() for point in points if point[axis] > 0] for axis in (0, 1)
    )
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    middle = (TOP + bottom) / 2
    x_of, y_of = _scale(xs, LEFT, right), _scale(ys, bottom, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="14" font-weight="bold">{escape(title)}</text>',
        f'<text x="{(LEFT + right) / 2:.0f}" y="{HEIGHT - 12}" text-anchor="middle">{escape(across)}</text>',
        f'<text transform="translate(16 {middle:.0f}) rotate(-90)" text-anchor="middle">{escape(up)}</text>',
    ]
    for power in _powers(xs):
        x = x_of(power)
        parts.append(f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{_power(power)}</text>')
    for power in _powers(ys):
        y = y_of(power)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{right}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_power(power)}</text>')
    for place, (name, points) in enumerate(lines.items()):
        colour = COLOURS[place % len(COLOURS)]
        drawn = [(x_of(math.log10(x)), y_of(math.log10(y))) for x, y in points if x > 0 and y > 0]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in drawn]
        y = TOP + 14 + 20 * place
        parts.append(f'<rect x="{right + 14}" y="{y - 9}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{right + 30}" y="{y}">{escape(name.replace("`", ""))}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _powers(logarithms: Sequence[float]) -> range:
    low, high = math.floor(min(logarithms)), max(math.ceil(max(logarithms)), math.floor(min(logarithms)) + 1)
    return range(low, high + 1)


def _scale(logarithms: Sequence[float], begin: float, end: float) -> Any:
    powers = _powers(logarithms)
    return lambda logarithm: begin + (end - begin) * (logarithm - powers[0]) / (powers[-1] - powers[0])


def _power(power: int) -> str:
    return f"{10**power:,}" if 0 <= power < 4 else f"{10.0**power:g}"  # noqa: PLR2004  larger ones have an exponent
