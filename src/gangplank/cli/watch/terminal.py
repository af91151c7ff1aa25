"""The runs in a terminal, at 80 columns or more."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console, ConsoleOptions, Group, OverflowMethod, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gangplank.cli.remote.runs import RunStatus
from gangplank.cli.watch import words
from gangplank.cli.watch.charts import bar, sparkline
from gangplank.cli.watch.watcher import View, Watcher
from gangplank.cli.watch.weights import Weights
from gangplank.core.log import one_line

_STYLES = {"bad": "bold red", "good": "green", "done": "blue", "odd": "yellow"}
# Columns of a progress bar, of a curve in the table and beside a whole line, and of the largest bar of weights.
_BAR, _SPARK, _LONG_SPARK, _WEIGHTS = 11, 7, 30, 44
# The widths of the first columns of the table, with the space between them; the metrics have what is left.
_RUN, _STATE, _LEFT, _GAPS = 25, 16, 11, 5
_METRIC = 23
# The lines of a run; those around the table; and the runs in a frame that may have any number of lines.
_LINES, _AROUND, _MOST = 2, 4, 40
_ABOVE_WEIGHTS = 3  # lines
# Seconds after which a terminal of another size is noticed.
_POLL = 0.5
_LONGEST_NAME, _LONGEST_JOB = 40, 60


def print_once(console: Console, watcher: Watcher, view: View) -> None:
    """Print one frame."""
    console.print(frame(watcher, view, console.width, None))


def show_live(console: Console, watcher: Watcher) -> None:
    """Show frame after frame, until Ctrl-C."""
    watcher.start()
    view = watcher.view
    with Live(_Frame(watcher), console=console, auto_refresh=False, screen=True) as live:
        while True:
            shown, size = view, console.size
            live.refresh()
            while view is shown and console.size == size:
                view = watcher.wait(view, _POLL)


class _Frame:
    """The newest view, for the size that the terminal has now."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        yield frame(self._watcher, self._watcher.view, options.max_width, console.height)


def frame(watcher: Watcher, view: View, width: int, height: int | None) -> RenderableType:
    """Return what there is to see.

    Args:
        watcher: has the past of each metric.
        view: what to show.
        width: columns of the terminal.
        height: lines of the terminal; None if there may be any number.
    """
    needed = any(run.needs for run in view.runs) or (view.now is None and bool(view.error))
    said = words.trouble(view)
    parts: list[Text | str | Table] = [
        *([Text(said, "bold red")] if said else []),
        Text(words.verdict(view), "bold red" if needed else "bold"),
        Text(words.subtitle(view), "dim"),
    ]
    above = _height(parts, width)
    if len(view.runs) == 1:
        parts += ["", *_details(watcher, view, width, None if height is None else height - above - 1)]
    elif view.runs:
        fitting = _MOST if height is None else max((height - above - _AROUND) // _LINES, 1)
        shown = view.runs[:fitting]
        parts.append(_table(watcher, shown, width))
        if left := len(view.runs) - len(shown):
            parts.append(Text(f"{left:,} more; choose with --job and --phase.", "dim"))
    return Group(*parts)


def _height(parts: Sequence[Text | str | Table], width: int) -> int:
    """Return how many lines these texts have in a terminal of that width."""
    console = Console(width=width)
    return sum(len(part.wrap(console, width)) for part in parts if isinstance(part, Text))


def _table(watcher: Watcher, runs: tuple[RunStatus, ...], width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    left = max(width - _RUN - _STATE - _LEFT - _GAPS, _METRIC)
    table.add_column("", width=1)
    for name, columns in (("run", _RUN), ("state", _STATE), ("left", _LEFT)):
        table.add_column(name, width=columns, no_wrap=True, overflow="ellipsis")
    table.add_column("newest metrics", width=left, no_wrap=True, overflow="ellipsis")
    for run in runs:
        style = _STYLES[words.tone(run)]
        name = f"{one_line(run.others)} {one_line(run.name)}".strip()
        progress = Text(no_wrap=True)
        if run.progress is not None:
            progress.append(bar(run.progress, _BAR), f"{style} on grey23").append(f" {words.percentage(run)}")
        table.add_row(
            Text("!" if run.needs else "", style),
            _two(
                Text(f"{one_line(run.job, _LONGEST_JOB)} ", "bold").append(one_line(run.phase), "not bold"),
                Text(name, "dim"),
            ),
            _two(Text(words.state(run), style), progress),
            _two(Text(words.remaining(run)), Text(run.short_position, "dim")),
            _metrics(watcher, run, left),
        )
    return table


def _two(first: Text, second: Text) -> Group:
    for line in (first, second):
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(first, second)


def _metrics(watcher: Watcher, run: RunStatus, width: int) -> Table:
    """Return the first metrics of a run with their curves, in two lines."""
    across = max(width // (_METRIC + 1), 1)
    cells = [_metric(watcher, run, name) for name in list(run.metrics)[: across * _LINES]]
    grid = Table.grid(padding=(0, 1, 0, 0))
    for _ in range(across):
        grid.add_column(width=_METRIC if across > 1 else width, no_wrap=True)
    for line in range(_LINES):
        grid.add_row(*cells[line * across : (line + 1) * across])
    return grid


def _metric(watcher: Watcher, run: RunStatus, name: str) -> Text:
    value = run.metrics[name]
    curve = sparkline(watcher.history.points(run.key, name), _SPARK)
    number = words.number(value)
    room = _METRIC - 2 - len(number) - _SPARK
    shown = one_line(name, _LONGEST_NAME)
    shown = shown if len(shown) <= room else shown[: max(room - 1, 1)] + "…"
    text = Text(f"{shown} ", no_wrap=True)
    return text.append(number, "bold" if math.isfinite(value) else "bold red").append(f" {curve}", "cyan")


def _details(watcher: Watcher, view: View, width: int, height: int | None) -> Iterator[Text | str | Table]:
    """Yield all of the only run, or what fits so many lines."""
    [run] = view.runs
    style = _STYLES[words.tone(run)]
    head = Text(words.title(run), "bold").append(f"  {one_line(run.name)}", "not bold dim")
    line = Text(words.state(run), style)
    if run.progress is not None:
        line.append("  ").append(bar(run.progress, _BAR * 2), f"{style} on grey23").append(f" {words.percentage(run)}")
    line.append(f"  {run.position}" if run.position else "")
    line.append(f"  {left} left" if (left := words.remaining(run)) else "")
    yield from (head, line)
    metrics, buckets = len(run.metrics), len(view.weights)
    if height is not None:
        room = height - _height((head, line), width)
        # The weights may have half of it, and what the metrics leave.
        metrics = _fitting(metrics, max(room // 2, room - _ABOVE_WEIGHTS - buckets if buckets else room) - 1)
        below = 1 + metrics + (metrics < len(run.metrics)) if run.metrics else 0
        buckets = _fitting(buckets, room - below - _ABOVE_WEIGHTS)
    if run.metrics:
        yield ""
        yield _all_metrics(watcher, run, metrics, width, "fold" if height is None else "ellipsis")
        if more := len(run.metrics) - metrics:
            yield Text(f"{more} more metrics; a taller terminal shows them.", "dim")
    if view.weights:
        yield Text("\nweights\n", "bold")
        yield _weights(view.weights, buckets)
        if more := len(view.weights) - buckets:
            yield Text(f"{more} more buckets; a taller terminal shows them.", "dim")


def _fitting(count: int, room: int) -> int:
    """Return how many of so many lines fit, if a line says how many do not."""
    return count if count <= room else max(room - 1, 1)


def _all_metrics(watcher: Watcher, run: RunStatus, count: int, width: int, overflow: OverflowMethod) -> Table:
    """Return the first metrics of a run, one in each line, with long curves."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(overflow=overflow, no_wrap=overflow == "ellipsis", max_width=max(width - _LONG_SPARK - 14, 10))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(style="cyan", no_wrap=True)
    for name, value in list(run.metrics.items())[:count]:
        number = Text(words.number(value), "bold" if math.isfinite(value) else "bold red")
        grid.add_row(Text(one_line(name)), number, sparkline(watcher.history.points(run.key, name), _LONG_SPARK))
    return grid


def _weights(counts: Weights, shown: int) -> Table:
    """Return the first bars of a histogram."""
    largest = max(count for _, count in counts) or 1
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(style="cyan", no_wrap=True)
    for edge, count in counts[:shown]:
        grid.add_row(Text(f"<= {one_line(edge, 20)}"), f"{count:,}", bar(max(count, 0) / largest, _WEIGHTS))
    return grid
