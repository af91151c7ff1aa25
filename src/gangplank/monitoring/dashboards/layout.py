"""What makes panels a dashboard: their places and numbers, the variables, and the links to the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gangplank.monitoring.dashboards.panels import COLUMNS, DATASOURCE, Panel
from gangplank.monitoring.dashboards.queries import FIRING

SCHEMA_VERSION = 36  # Grafana 9.0; newer ones migrate it


def dashboard(
    uid: str,
    title: str,
    *,
    description: str,
    variables: Sequence[dict[str, Any]],
    panels: Sequence[Panel],
    time_range: str,
) -> dict[str, Any]:
    """Return a dashboard.

    Args:
        uid: by which others link to it.
        title: of the dashboard.
        description: what it is for.
        variables: after that of the data source.
        panels: in the order of reading.
        time_range: how far it looks back, such as `6h`.
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
                    "expr": f'ALERTS{{{FIRING},job=~"$job"}}',
                    "step": "1m",
                    "titleFormat": "{{alertname}}",
                    "textFormat": "{{job}} {{phase}} {{run}}",
                }
            ]
        },
        "templating": {"list": [_data_source(), *variables]},
        "panels": _placed(panels),
    }


def variable(name: str, query: str, *, every: str | None = ".*", **more: Any) -> dict[str, Any]:
    """Return a variable of which several values can be chosen.

    Args:
        name: of the variable.
        query: for its values.
        every: a regular expression that stands for all of them; None for the list of all of them.
        more: further fields.
    """
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "refresh": 2,  # when the time range changes
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": every,
        "current": {"text": ["All"], "value": ["$__all"]},
        **more,
    }


def _data_source() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1}


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
