"""What the benchmarks share: quantiles, what they ran on, and the pages of docs/ that hold their figures."""

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
    """Return the median, the 99th percentile and the maximum, in milliseconds, and of how many."""
    ordered = sorted(seconds)
    count = len(ordered)
    at = {"median_ms": count // 2, "p99_ms": min(count - 1, count * 99 // 100), "max_ms": count - 1}
    return {"count": count} | {name: 1000 * ordered[i] for name, i in at.items()}


def machine() -> str:
    """Return what it was measured on, with nothing that names the machine."""
    cores = len(os.sched_getaffinity(0))
    return f"{platform.system()}, {cores} cores, Python {platform.python_version()}"


def write_json(path: Path | None, result: dict[str, Any]) -> None:
    """Write a result where the user asked for it."""
    if path is not None:
        path.write_text(json.dumps(result, indent=2) + "\n")


def write_page(name: str, text: str) -> None:
    """Replace what stands between the markers of this name in docs/never-hurt.md."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, found, rest = PAGE.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{PAGE.name} has no markers {begin.strip()} and {end}")
    PAGE.write_text(f"{before}{begin}{text.strip()}\n{end}{after}")
