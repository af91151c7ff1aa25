"""Shared by faults.py, soak.py and fleet.py: quantiles, the description of the machine, and writing the figures."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "never-hurt.md"


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return the count, and the median, the 99th percentile and the maximum in milliseconds."""
    ordered = sorted(seconds)
    count = len(ordered)
    at = {"median_ms": count // 2, "p99_ms": min(count - 1, count * 99 // 100), "max_ms": count - 1}
    return {"count": count} | {name: 1000 * ordered[i] for name, i in at.items()}


def machine() -> str:
    """Return the system and the hardware, without anything that identifies the machine."""
    cores = len(os.sched_getaffinity(0))
    return f"{platform.system()}, {cores} cores, Python {platform.python_version()}"


def write_json(path: Path | None, result: dict[str, Any]) -> None:
    """Write a result to a file, if one is given."""
    if path is not None:
        path.write_text(json.dumps(result, indent=2) + "\n")


def write_page(name: str, text: str, page: Path = PAGE) -> None:
    """Replace the text between the markers of this name in a page of the documentation."""
    page.write_text(filled(page, name, text))


def filled(page: Path, name: str, text: str) -> str:
    """Return a page with this text between the markers of this name."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{page.name} has no markers {begin.strip()} and {end}")
    return f"{before}{begin}{text.strip()}\n{end}{after}"
