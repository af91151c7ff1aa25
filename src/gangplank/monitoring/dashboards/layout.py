"""What makes panels a dashboard: their places and numbers, the variables, and the links to the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gangplank.monitoring.dashboards.panels import COLUMNS, DATASOURCE, Panel

SCHEMA_VERSION = 36  # Grafana 9.0; newer ones migrate it


def dashboard(
    uid: str,
    title: str,
    *,
    description: str,
    variables: Sequence[dict[str, Any]],
    panels: Sequence[Panel],
    time_range: str,
    alerts: str,
) -> dict[str, Any]:
    """Return a dashboard.

    Args:
        uid: by which others link to it.
        title: of the dashboard.
        description: what it is for.
        variables: after that of the data source.
        panels: in the order of reading.
        time_range: how far it looks back, such as `6h`.
        alerts: a query for those that are marked in the graphs.
    """
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["gangplank"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,  # one crosshair in all panels
        "refresh": "30s",
        "time": {"from": f"now-{time_range}", "to": "now"},
        "timezone": "browser",
        "links": [
            {
                "title": "Gangplank",
                "type": "dashboards",
                "tags": ["gangplank"],
                "asDropdown": False,
                "includeVars": True,
                "keepTime": True,
                "targetBlank": False,
                "icon": "external link",
                "tooltip": "",
                "url": "",
            }
        ],
        "annotations": {
            "list": [
                {
                    "name": "Alerts",
                    "datasource": DATASOURCE,
                    "enable": True,
                    "iconColor": "red",
                    "expr": alerts,
                    "step": "1m",
                    "titleFormat": "{{alertname}}",
                    "textFormat": "{{job}} {{phase}} {{run}}",
                }
            ]
        },
        "templating": {"list": [_data_source(), *variables]},
        "panels": _placed(panels),
    }


def variable(
    name: str, query: str, *, every: str | None = ".*", opens_with_all: bool = True, **more: Any
) -> dict[str, Any]:
    """Return a variable of which several values can be chosen.

    Args:
        name: of the variable.
        query: for its values.
        every: a regular expression that stands for all of them; None for the list of all of them.
        opens_with_all: whether all are chosen at first; otherwise the first one is, and there is no `All`, since
            Grafana 9 and 10 would take that for the first.
        more: further fields.
    """
    text, value = (["All"], ["$__all"]) if opens_with_all else ([], [])
    kind = 3 if query.startswith("query_result(") else 1  # of the editor for variables; 1 is label_values
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"qryType": kind, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "refresh": 2,  # when the time range changes
        "sort": 1,
        "multi": True,
        "includeAll": opens_with_all,
        "allValue": every if opens_with_all else None,
        "current": {"text": text, "value": value},
        **more,
    }


def _data_source() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "current": {},  # the default one; some of Grafana 10 cannot do without the field
    }


def _placed(panels: Sequence[Panel]) -> list[Panel]:
    """Return the panels with their numbers, and from left to right and from top to bottom, as one reads."""
    placed: list[Panel] = []
    x = y = tallest = number = 0

    def place(panel: Panel) -> Panel:
        nonlocal x, y, tallest, number
        size = panel["gridPos"]
        if x + size["w"] > COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        number += 1
        there = {**panel, "id": number, "gridPos": {**size, "x": x, "y": y}}
        x, tallest = x + size["w"], max(tallest, size["h"])
        return there

    for panel in panels:
        there = place(panel)
        if there.get("panels"):
            there["panels"] = [place(inner) for inner in there["panels"]]
        placed.append(there)
    return placed
