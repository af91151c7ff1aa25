"""A result as Markdown: for docs/performance.md, and a short table for the README."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from benchmarks.contest import OURS, Contest, Spread, Target

# The rows of the short table in the README: how each begins, and its title there.
HEADLINES = (
    ("13 edges, float32, normal", "counting a weight (13 edges, sum, non-finite)"),
    ("end of an epoch", "hook at the end of an epoch, 20 metrics"),
    ("each step in Keras", "hook of a step in Keras, with step-level export"),
    ("each step in Lightning", "hook of a step in Lightning, with step-level export"),
    ("each step in Transformers", "hooks of a step in Transformers"),
    ("inside our hooks", "of a training with each step and the weights exported, inside the hooks"),
    ("1,000 tensors, 31 buckets each: rendered and pushed", "page of 1,000 histograms, rendered and pushed"),
    ("extra peak memory", "extra memory to count a model of 1 GB"),
    ("`import gangplank`", "`import gangplank`"),
)


def contests_of(result: Mapping[str, Any]) -> list[Contest]:
    """Return the contests of a result."""
    return [Contest.from_json(read) for read in result["contests"]]


def machine(result: Mapping[str, Any]) -> str:
    """Return the line about the hardware, the versions and the date of a result."""
    on, versions = result["machine"], result["versions"]
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
    quick = " A quick run, with small sizes: only a first impression." if result["quick"] else ""
    return (
        f"{on['cpu']}, {on['cores']} cores, {on['memory_gb']} GB; {on['system']}, Python {on['python']}; {libraries}. "
        f"{result['rounds']} rounds in turns, on {result['date']}.{quick}"
    )


def tables(result: Mapping[str, Any]) -> str:
    """Return every contest, under the headings of their groups."""
    parts = [machine(result)]
    for group, contests in groupby(contests_of(result), key=lambda contest: contest.group):
        parts += [f"### {group}", *_group(list(contests))]
    return "\n\n".join(parts)


def _group(contests: list[Contest]) -> Iterable[str]:
    if all(contest.unit == "" for contest in contests):
        yield _capacity(contests)
    else:
        lines = [
            "| what | contestant | median (lowest to highest) | times ours | target | |",
            "|---|---|--:|--:|--:|---|",
        ]
        for contest in contests:
            lines += _rows(contest)
        yield "\n".join(lines)
    notes = list(dict.fromkeys(note for contest in contests for note in contest.notes))
    if notes:
        yield "\n".join(f"- {note}" for note in notes)


def _rows(contest: Contest) -> Iterable[str]:
    what, reference = contest.what, next(iter(contest.rounds), None)
    for contestant in contest.rounds:
        figures = _spread(contest.spread(contestant), contest.unit)
        ratio = (
            ""
            if contestant == reference or reference is None or not contest.compared
            else times(contest.ratio(contestant, reference))
        )
        targets = [
            target
            for target in contest.targets
            if (target.than or target.of) == contestant and target.of in contest.rounds
        ]
        said = "; ".join(aim(target, contest.unit) for target in targets)
        met = "; ".join(verdict(contest, target) for target in targets)
        yield f"| {what} | {contestant} | {figures} | {ratio} | {said} | {met} |"
        what = ""
    for contestant, why in contest.missing.items():
        yield f"| {what} | {contestant} | not measured: {why} | | | |"
        what = ""


def _capacity(contests: list[Contest]) -> str:
    columns = list(contests[0].rounds)
    lines = [f"| the gateway holds | {' | '.join(columns)} |", f"|---|{'--:|' * len(columns)}"]
    for contest in contests:
        cells = [
            _spread(contest.spread(name), "") if name in contest.rounds else f"not measured: {contest.missing[name]}"
            for name in columns
        ]
        lines.append(f"| {contest.what} | {' | '.join(cells)} |")
    return "\n".join(lines)


def aim(target: Target, unit: str) -> str:
    """Return a target as text."""
    if target.times is not None:
        return f"at least {target.times:g} times ours"
    if target.than is not None:
        return f"ours at most {target.most:g} times this"
    return f"at most {target.most:g} {unit}"


def verdict(contest: Contest, target: Target) -> str:
    """Return whether a target is met."""
    met = contest.met(target)
    reached = contest.reached(target)
    if met is None or reached is None:
        return "not measured"
    return ("met" if met else "**missed**") + (f" ({number(reached)})" if target.than else "")


def headlines(result: Mapping[str, Any]) -> str:
    """Return the short table of the README."""
    lines = ["| | gangplank | beside it |", "|---|--:|---|"]
    for begins, title in HEADLINES:
        for contest in contests_of(result):
            if contest.what.startswith(begins) and contest.rounds:
                ours, *others = contest.rounds
                beside = [f"{peer} {_figure(contest, peer)}" for peer in others if not peer.startswith(f"{OURS},")]
                lines.append(f"| {title} | {_figure(contest, ours)} | {', '.join(beside)} |")
    return "\n".join(
        [
            *lines,
            "",
            f"{machine(result)} All of it, with spreads and targets: [docs/performance.md](docs/performance.md).",
        ]
    )


def _figure(contest: Contest, contestant: str) -> str:
    return f"{number(contest.spread(contestant).median)} {contest.unit.split(' ')[0]}"


def _spread(spread: Spread, unit: str) -> str:
    between = "" if spread.low == spread.high else f" ({number(spread.low)} to {number(spread.high)})"
    return f"{number(spread.median)} {unit}".strip() + between


def times(ratio: Spread) -> str:
    """Return a ratio with its spread."""
    return f"{number(ratio.median)} ({number(ratio.low)} to {number(ratio.high)})"


def number(value: float) -> str:
    """Return a number with three significant digits and no exponent."""
    if value == 0:
        return "0"
    if abs(value) >= 100:  # noqa: PLR2004  no decimals
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    return text if "e" not in text else f"{value:.6f}"
