"""Dashboards for Grafana 9 and newer, as plain dicts: its classic JSON."""

from __future__ import annotations

from typing import Any

from gangplank.monitoring.dashboards.fleet import fleet
from gangplank.monitoring.dashboards.run import run

__all__ = ["dashboards"]


def dashboards() -> dict[str, dict[str, Any]]:
    """Return the dashboards, by the names of their files."""
    return {"gangplank-fleet.json": fleet(), "gangplank-run.json": run()}
