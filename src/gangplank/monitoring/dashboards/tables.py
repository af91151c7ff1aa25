"""Tables: a row for each run, and a column for each query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gangplank.monitoring.dashboards.panels import Panel, now, panel

# Labels of `gangplank_run_info` that no table has room for. A label of the user's own becomes a column.
_HIDDEN = (
    "Time",
    "backend",
    "framework",
    "framework_version",
    "gangplank_version",
    "git_commit",
    "python_version",
    "slurm_job_id",
)
# Grafana before 9.5 knows only the second; newer ones make the first of it.
_COLORED = {"custom.cellOptions": {"type": "color-text"}, "custom.displayMode": "color-text"}
_STATES = {"running": "blue", "finished": "green", "failed": "red", "interrupted": "orange"}


@dataclass(frozen=True)
class Column:
    """A column, or several, of which the labels are the first ones.

    Args:
        title: of the value; an empty one hides it.
        expr: a query whose results have the labels of a run.
        unit: Grafana's name of the unit.
        config: further fields of Grafana's field config, by the id of their override.
        without: labels that the rows of this column do not have.
    """

    title: str
    expr: str
    unit: str = "short"
    config: Mapping[str, Any] = field(default_factory=dict)
    without: str = "state"


def red(above: float | None = None, below: float | None = None) -> dict[str, Any]:
    """Return the config of a column that is red above, or below, a value."""
    first, second = ("text", "red") if below is None else ("red", "text")
    steps = [{"color": first, "value": None}, {"color": second, "value": above if below is None else below}]
    return {"thresholds": {"mode": "absolute", "steps": steps}, **_COLORED}


def table(
    title: str,
    description: str,
    columns: Sequence[Column],
    *,
    labels: Sequence[str],
    sort: str,
    descending: bool = True,
    hidden: Sequence[str] = (),
    height: int = 10,
    width: int = 24,
    empty: str = "No runs",
) -> Panel:
    """Return a table; the rows of its queries that have the same labels become one.

    Args:
        title: as for `panel`.
        description: as for `panel`.
        columns: a query each.
        labels: those that are the first columns, in this order.
        sort: the title of the column by which it is sorted.
        descending: the order of the rows.
        hidden: further labels that are not shown.
        height: of the panel.
        width: of the panel.
        empty: what is shown in place of a table without rows.
    """
    # A name is what Grafana would compare rows by too, and each family has another one: an aggregation has none. In
    # Kubernetes, `pod` is that of the training in the info family, and that of the gateway in the others.
    exprs = [
        f"max without ({', '.join(filter(None, ('instance', 'pod', column.without)))}) ({column.expr})"
        for column in columns
    ]
    values = ["Value"] if len(columns) == 1 else [f"Value #{chr(ord('A') + number)}" for number in range(len(columns))]
    shown = {value: column.title for value, column in zip(values, columns, strict=True) if column.title}
    hide = [*_HIDDEN, *hidden, *(value for value in values if value not in shown)]
    overrides = [_of(column.title, unit=column.unit, **column.config) for column in columns if column.title]
    organize = {
        "excludeByName": dict.fromkeys(hide, True),
        "indexByName": {name: place for place, name in enumerate([*labels, *shown])},
        "renameByName": shown,
    }
    return panel(
        "table",
        title,
        description,
        [{**now(expr), "format": "table"} for expr in exprs],
        (width, height),
        fieldConfig={
            "defaults": {"noValue": empty, "custom": {"filterable": True}},
            # Grafana shows the `noValue` of the defaults in each empty cell too.
            "overrides": [_of(".*", "byRegexp", noValue="-"), *_overrides_of_labels(), *overrides],
        },
        options={"showHeader": True, "sortBy": [{"displayName": sort, "desc": descending}]},
        transformations=[{"id": "merge", "options": {}}, {"id": "organize", "options": organize}],
    )


def _of(field: str, matcher: str = "byName", /, **properties: Any) -> dict[str, Any]:
    """Return what is special about a field, or about those that a regular expression matches."""
    return {
        "matcher": {"id": matcher, "options": field},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }


def _overrides_of_labels() -> list[dict[str, Any]]:
    colors = {state: {"color": color, "index": place} for place, (state, color) in enumerate(_STATES.items())}
    # Grafana encodes neither `&` nor `#` unless it is told to. The text of a run without a name would be a dash.
    link = (
        "/d/gangplank-run?var-job=${__data.fields.job:percentencode}&var-phase=${__data.fields.phase:percentencode}"
        "&var-run=${__value.raw:percentencode}&${datasource:queryparam}&${__url_time_range}"
    )
    return [
        _of("state", mappings=[{"type": "value", "options": colors}], **_COLORED),
        _of("run", links=[{"title": "Show this run", "url": link}]),
    ]
