"""Panels of Grafana, as dicts; `layout` gives them their places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gangplank.monitoring.dashboards.queries import SHORTEST_STEP

Panel = dict[str, Any]
Target = dict[str, Any]
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24  # of Grafana's grid


def lines(expr: str, legend: str, shortest_step: str = SHORTEST_STEP) -> Target:
    """Return a query for the time range of the dashboard."""
    return {"expr": expr, "legendFormat": legend, "range": True, "instant": False, "interval": shortest_step}


def now(expr: str, legend: str = "") -> Target:
    """Return a query for the newest values."""
    return {"expr": expr, "legendFormat": legend, "range": False, "instant": True}


def panel(
    kind: str, title: str, description: str, targets: Sequence[Target], size: tuple[int, int], **more: Any
) -> Panel:
    """Return a panel.

    Args:
        kind: Grafana's name of its type.
        title: above it.
        description: what it shows; Grafana has it behind an icon.
        targets: its queries; they are called A, B, and so on.
        size: width in columns of the grid, of which there are `COLUMNS`, and height.
        more: further fields of the panel.
    """
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": DATASOURCE, **target}
            for number, target in enumerate(targets)
        ],
        "gridPos": {"w": size[0], "h": size[1]},
        **more,
    }


def row(title: str, *panels: Panel, collapsed: bool = False) -> list[Panel]:
    """Return a row with a title, and its panels; Grafana asks for those of a collapsed row when it is opened."""
    head = {"type": "row", "title": title, "collapsed": collapsed, "panels": [], "gridPos": {"w": COLUMNS, "h": 1}}
    return [{**head, "panels": list(panels)}] if collapsed else [head, *panels]


def graph(
    title: str,
    description: str,
    *targets: Target,
    unit: str = "short",
    width: int = 8,
    custom: Mapping[str, Any] | None = None,
    **more: Any,
) -> Panel:
    """Return lines over time.

    Args:
        title: as for `panel`.
        description: as for `panel`.
        targets: as for `panel`.
        unit: Grafana's name of the unit.
        width: in columns of the grid.
        custom: how the lines are drawn.
        more: further fields of the panel.
    """
    drawn = {"drawStyle": "line", "lineWidth": 1, "showPoints": "auto", "spanNulls": False, **(custom or {})}
    return panel(
        "timeseries",
        title,
        description,
        targets,
        (width, 8),
        fieldConfig={"defaults": {"unit": unit, "custom": drawn}, "overrides": []},
        options={
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        **more,
    )


def stat(title: str, description: str, target: Target, *, red_from: float | None = None) -> Panel:
    """Return a number; it is red if it is at least `red_from`."""
    steps: list[dict[str, Any]] = [{"color": "green" if red_from else "blue", "value": None}]
    if red_from:
        steps.append({"color": "red", "value": red_from})
    return panel(
        "stat",
        title,
        description,
        [target],
        (4, 7),
        fieldConfig={"defaults": {"thresholds": {"mode": "absolute", "steps": steps}}, "overrides": []},
        options={
            "colorMode": "background" if red_from else "value",
            "graphMode": "none",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
    )
