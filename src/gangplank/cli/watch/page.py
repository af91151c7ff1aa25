"""The runs as HTML: no script, no request to anywhere else, and whatever a server says is escaped."""

from __future__ import annotations

import base64
import functools
import hashlib
import math
from collections.abc import Mapping, Sequence
from html import escape
from http import HTTPStatus
from importlib import resources
from urllib.parse import urlencode

from gangplank.cli.remote.groups import matching_text
from gangplank.cli.remote.runs import RunStatus
from gangplank.cli.watch import words
from gangplank.cli.watch.charts import bars, curve
from gangplank.cli.watch.watcher import View, Watcher
from gangplank.cli.watch.words import Points
from gangplank.core.log import one_line

# The runs that one page shows, the reasons above them, and the metrics of each run in the table.
_MOST_RUNS, _MOST_REASONS, _MOST_METRICS = 200, 8, 4
# The points of a curve in the table, which is about as many pixels wide.
_MOST_POINTS = 60
_COLUMNS = ("Job", "State", "Progress", "Time left", "Newest metrics")


@functools.cache
def policy() -> str:
    """Return the Content-Security-Policy: nothing but our own style sheet."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )


def overview(watcher: Watcher, view: View, job: str, *, paused: bool) -> str:
    """Return the page of all runs.

    Args:
        watcher: has the past of each metric.
        view: what to show.
        job: a pattern for the jobs to show; all if it is empty.
        paused: whether the page stays as it is, instead of loading itself again.
    """
    runs = [run for run in view.runs if not job or matching_text(run.job, job)]
    parts = [_verdict(view), _bar(job, paused=paused)]
    if not paused:  # by keyboard, whatever comes later is too late before the page loads itself again
        parts.insert(0, f'<div class="skip">{_pause_all(job, paused=paused)}</div>')
    if runs:
        rows = "".join(_row(watcher, run) for run in runs[:_MOST_RUNS])
        headings = "".join(f'<th scope="col" role="columnheader">{column}</th>' for column in _COLUMNS)
        # The roles say what the table is also where a narrow screen shows it as blocks.
        parts.append(
            f'<table class="runs" role="table"><caption class="hidden">Runs</caption><thead role="rowgroup">'
            f'<tr role="row">{headings}</tr></thead><tbody role="rowgroup">{rows}</tbody></table>'
        )
    elif job:
        parts.append(f"<p>No job matches {_text(job)}.</p>")
    if len(runs) > _MOST_RUNS:
        parts.append(f"<p>{len(runs) - _MOST_RUNS:,} more: choose jobs above.</p>")
    return _page(_title(view), "".join(parts), None if paused else watcher.every)


def run(watcher: Watcher, view: View, labels: Mapping[str, str], *, paused: bool) -> tuple[HTTPStatus, str]:
    """Return the page of the run that has exactly these labels, and its status."""
    found = next((run for run in view.runs if run.labels == labels), None)
    if found is None:
        gone = f"It is not, or no longer, on {_text(view.source)}."
        return HTTPStatus.NOT_FOUND, _page("No such run", f"<h1>There is no such run</h1><p>{gone}</p>{_BACK}", None)
    facts = [("State", f'<span class="state {words.tone(found)}">{_text(words.state(found))}</span>')]
    facts += [(_text(name), _text(value)) for name, value in found.labels.items()]
    if found.progress is not None:
        facts.append(("Progress", _progress(found)))
    elif found.position:
        facts.append(("Position", _text(found.position)))
    facts += [("Time left", left)] if (left := words.remaining(found)) else []
    reasons = "".join(f"<li>It {_text(need.text)}.</li>" for need in found.needs)
    parts = [
        f'<nav class="bar">{_BACK} {_pause("/run", found.labels, paused=paused)}</nav>',
        _head(view, words.title(found), f'<ul class="reasons">{reasons}</ul>' if reasons else "", bad=bool(reasons)),
        f"<dl>{''.join(f'<dt>{name}</dt><dd>{value}</dd>' for name, value in facts)}</dl>",
        _cards(watcher, found),
        _weights(watcher.weights(found)),
    ]
    return HTTPStatus.OK, _page(words.title(found), "".join(parts), None if paused else watcher.every)


def message(title: str, text: str) -> str:
    """Return a page that only says something."""
    return _page(title, f"<h1>{_text(title)}</h1><p>{_text(text)}</p>{_BACK}", None)


_BACK = '<a href="/">All runs</a>'


def _page(title: str, body: str, every: float | None) -> str:
    refresh = f'<meta http-equiv="refresh" content="{max(every, 1):.0f}">' if every else ""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{refresh}'
        f'<link rel="icon" href="data:,"><title>{_text(title)}</title><style>{_style()}</style></head>'
        f"<body><main>{body}</main></body></html>"
    )


@functools.cache
def _style() -> str:
    return (resources.files(__package__) / "style.css").read_text("utf-8")


def _text(text: object) -> str:
    return escape(one_line(text))


def _title(view: View) -> str:
    needed = len(words.needing(view))
    mark = "(?) " if view.error else f"({needed}) " if needed else ""
    return f"{mark}Runs on {view.source}"


def _verdict(view: View) -> str:
    needing = words.needing(view)
    items = [f"<li>{_link(run, words.title(run))} {_text(words.why(run))}</li>" for run in needing[:_MOST_REASONS]]
    items += [f"<li>and {len(needing) - _MOST_REASONS:,} more</li>"] if len(needing) > _MOST_REASONS else []
    reasons = f'<ul class="reasons">{"".join(items)}</ul>' if items else ""
    return _head(view, words.headline(view), reasons, bad=bool(needing or view.error))


def _head(view: View, title: str, reasons: str, *, bad: bool) -> str:
    said = f'<p class="trouble" role="alert">{_text(trouble)}</p>' if (trouble := words.trouble(view)) else ""
    return (
        f'<header>{said}<div class="verdict{" needed" if bad else ""}"><h1>{_text(title)}</h1>{reasons}'
        f'<p class="faint">{_text(words.subtitle(view))}</p></div></header>'
    )


def _bar(job: str, *, paused: bool) -> str:
    hidden = '<input type="hidden" name="paused" value="1">' if paused else ""
    form = (
        f'<form action="/" method="get"><label for="job">Jobs</label><input id="job" name="job" value="{_text(job)}" '
        f'placeholder="all, or llm-*">{hidden}<button>Show</button></form>'
    )
    return f'<div class="bar">{form}{_pause_all(job, paused=paused)}</div>'


def _pause_all(job: str, *, paused: bool) -> str:
    return _pause("/", {"job": job} if job else {}, paused=paused)


def _pause(path: str, query: Mapping[str, str], *, paused: bool) -> str:
    """Return the link that stops the page from loading itself again, or has it do so."""
    target = urlencode(dict(query) if paused else {**query, "paused": "1"})
    says = "Refresh again" if paused else "Pause refreshing"
    return f'<a href="{escape(f"{path}?{target}" if target else path)}">{says}</a>'


def _row(watcher: Watcher, run: RunStatus) -> str:
    link = f'{_link(run, run.job)} <span class="phase">{_text(run.phase)}</span>'
    name = "".join(
        f'<div class="name faint{more}">{_text(text)}</div>'
        for text, more in ((run.name, ""), (run.others, " others"))
        if text
    )
    metrics = "".join(_metric(watcher, run, metric) for metric in list(run.metrics)[:_MOST_METRICS])
    more = len(run.metrics) - _MOST_METRICS
    metrics += f'<li class="small">and {more} more</li>' if more > 0 else ""
    cells = (
        f'<span class="state {words.tone(run)}">{"! " if run.needs else ""}{_text(words.state(run))}</span>',
        _progress(run) if run.progress is not None else _text(run.position),
        f'<span class="left">{left} <span class="small">left</span></span>' if (left := words.remaining(run)) else "",
        f'<ul class="metrics">{metrics}</ul>' if metrics else "",
    )
    bad = ' class="bad"' if run.needs else ""
    row = "".join(f'<td role="cell">{cell}</td>' for cell in cells)
    return f'<tr role="row"{bad}><th scope="row" role="rowheader">{link}{name}</th>{row}</tr>'


def _link(run: RunStatus, text: str) -> str:
    return f'<a href="/run?{escape(urlencode(run.labels))}">{_text(text)}</a>'


def _progress(run: RunStatus) -> str:
    percentage = words.percentage(run)
    bar = f'<progress max="1" value="{run.progress:.4f}" aria-label="{percentage} complete">{percentage}</progress>'
    return f'{bar} {percentage} <div class="small">{_text(run.position)}</div>'


def _metric(watcher: Watcher, run: RunStatus, name: str) -> str:
    points = watcher.history.points(run.key, name)
    return (
        f'<li><span class="what" title="{_text(name)}">{_text(name)}</span>{_value(run.metrics[name])}'
        f"{curve(_thinned(points), words.trend(name, points))}</li>"
    )


def _thinned(points: Points) -> Points:
    """Return every second, third, ... point of a curve, the newest one included, if it has too many for the table."""
    each = math.ceil(len(points) / _MOST_POINTS)
    return points[::-each][::-1] if each > 1 else points


def _value(value: float) -> str:
    return f'<span class="value{"" if math.isfinite(value) else " bad"}">{words.number(value)}</span>'


def _cards(watcher: Watcher, run: RunStatus) -> str:
    if not run.metrics:
        return ""
    cards = []
    for name, value in run.metrics.items():
        points = watcher.history.points(run.key, name)
        trend = words.trend(name, points)
        below = trend.partition("; ")[2]
        cards.append(
            f'<li><div class="what">{_text(name)}</div>{_value(value)}{curve(points, trend, (300, 70))}'
            f'<div class="small">{_text(below)}</div></li>'
        )
    return f'<h2>Metrics</h2><ul class="cards">{"".join(cards)}</ul>'


def _weights(counts: Sequence[tuple[str, int]]) -> str:
    if not counts:
        return ""
    shown = [(f"≤ {one_line(edge, 20)}", count) for edge, count in counts]
    total = sum(count for _, count in counts)
    largest = max(shown, key=lambda one: one[1])
    label = f"Histogram of {total:,} weights; most are in the bucket {largest[0]}"
    rows = "".join(
        f'<tr><th scope="row">{_text(edge)}</th><td class="number">{count:,}</td></tr>' for edge, count in shown
    )
    return (
        f"<h2>Weights</h2>{bars(shown, label)}<details><summary>As numbers</summary><table><thead><tr>"
        f'<th scope="col">Bucket</th><th scope="col">Weights</th></tr></thead><tbody>{rows}</tbody></table></details>'
    )
