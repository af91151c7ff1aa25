"""What both faces say in the same words."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from gangplank.cli.remote.groups import format_duration
from gangplank.cli.remote.runs import RunStatus
from gangplank.cli.watch.watcher import View
from gangplank.core.log import one_line
from gangplank.core.page.page import RUNNING, STATES

# The runs that a verdict names.
_NAMED = 3
# The characters of a run there: with more of them, nothing else would fit a terminal.
_LONGEST_TITLE = 100
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_LONGEST = 1e10  # more seconds than this are left to nothing
#: The columns of a curve of one value per column: times and values.
Points = Sequence[tuple[float, float]]


def verdict(view: View) -> str:
    """Return the most important thing in one line: how many runs need somebody, and why."""
    named = [f"{one_line(title(run), _LONGEST_TITLE)} {why(run)}" for run in needing(view)[:_NAMED]]
    more = len(needing(view)) - _NAMED
    named += [f"and {more} more"] if more > 0 else []
    return headline(view) + (f": {'; '.join(named)}" if named else "")


def needing(view: View) -> list[RunStatus]:
    """Return the runs that need somebody."""
    return [run for run in view.runs if run.needs]


def headline(view: View) -> str:
    """Return how many runs need somebody, or needed somebody when that was last known; or why it is not known."""
    if view.now is None:
        return f"Cannot read {view.source}: {view.error}" if view.error else f"Reading {view.source} ..."
    return f"{_age(view)} ago: {_headline(view)}" if view.error else _headline(view)


def _headline(view: View) -> str:
    if not view.runs:
        others = f"No run matches --job and --phase; of others, there are {view.unmatched:,}."
        return others if view.unmatched else "There are no runs."
    count, needed = len(view.runs), len(needing(view))
    if not needed:
        return "The run is well." if count == 1 else f"None of {count} runs needs you."
    return "The run needs you" if count == 1 else f"{needed} of {count} runs need{'s' if needed == 1 else ''} you"


def trouble(view: View) -> str:
    """Return that the server cannot be read now, if that is so and it was read before."""
    if not view.error or view.read_at is None:
        return ""
    return f"Cannot read {view.source}: {view.error}. This is what it showed {_age(view)} ago."


def _age(view: View) -> str:
    return format_duration(max(time.time() - (view.read_at or 0.0), 0))


def subtitle(view: View) -> str:
    """Return where the runs are read from, when they were read, and how many are in which state."""
    if view.read_at is None:
        return view.source
    states = [run.state for run in view.runs]
    counts = [f"{states.count(state)} {state}" for state in STATES if state in states]
    if others := sum(state not in STATES for state in states):
        counts.append(f"{others} in another state")
    read = time.strftime("%H:%M:%S", time.localtime(view.read_at))
    return ", ".join((f"{view.source}, read at {read}", *counts))


def title(run: RunStatus) -> str:
    """Return a run in a few words: its job and phase, and its other labels."""
    others = f" ({one_line(run.others)})" if run.others else ""
    return f"{one_line(run.job)} {one_line(run.phase)}{others}"


def state(run: RunStatus) -> str:
    """Return the state of a run, or why it needs somebody, in a few words."""
    if run.needs:
        return ", ".join(need.short for need in run.needs)
    return one_line(run.state) or "unknown"


def tone(run: RunStatus) -> str:
    """Return how the state is coloured: `bad`, `good`, `done` or `odd`."""
    if run.needs or run.state == "failed":
        return "bad"
    return {RUNNING: "good", "finished": "done"}.get(run.state, "odd")


def number(value: float) -> str:
    """Return a value in a few characters."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return f"{value:.4g}"


def remaining(run: RunStatus) -> str:
    """Return the time that is left, in its two largest units, or an empty text."""
    seconds = run.remaining
    if seconds is None or not seconds < _LONGEST:
        return ""
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    minutes = int(seconds // _MINUTE)
    if seconds < _HOUR:
        return f"{minutes} min"
    if seconds < _DAY:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def percentage(run: RunStatus) -> str:
    """Return how far a run is: 100 % only if it is complete."""
    return "" if run.progress is None else f"{int(run.progress * 100)}%"


def trend(name: str, points: Points) -> str:
    """Return a curve in words: `loss is 0.16; from 2.3 to 0.16 in 40 min`."""
    if not points:
        return one_line(name)
    newest = f"{one_line(name)} is {number(points[-1][1])}"
    finite = [value for _, value in points if math.isfinite(value)]
    if len(points) < 2 or not finite:  # noqa: PLR2004  one point is no curve
        return newest
    span = format_duration(points[-1][0] - points[0][0])
    return f"{newest}; {number(points[0][1])} {span} ago, lowest {number(min(finite))}, highest {number(max(finite))}"


def why(run: RunStatus) -> str:
    """Return why a run needs somebody: a clause whose subject is the run."""
    return " and ".join(need.text for need in run.needs)
