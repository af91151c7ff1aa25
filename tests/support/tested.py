"""What the tests have been run with: each process of theirs leaves a record, of which docs/tested.md is made."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import platform
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.servers import GENERATION, PATHS, version_of

ROOT = Path(__file__).resolve().parents[2]
RECORDS, PAGE = ROOT / "build" / "tested", ROOT / "docs" / "tested.md"
CORE = ("numpy", "pluggy", "prometheus_client")
# A framework, and the distribution that the tests install.
FRAMEWORKS = {name: name for name in ("keras", "tensorflow", "jax", "torch", "lightning", "transformers")}
FRAMEWORKS |= {"xgboost": "xgboost-cpu"}
PROGRAMS = ("prometheus", "prometheus-alertmanager", "prometheus-pushgateway", "prometheus-node-exporter")
BEGIN, END = "<!-- tested -->\n", "<!-- /tested -->\n"


def record(path: Path, outcomes: Mapping[str, int]) -> None:
    """Write down what this process has tested with; a framework counts where it has been imported."""
    imported = [distribution for name, distribution in FRAMEWORKS.items() if name in sys.modules]
    found = {
        "tests": path.stem.partition("-")[2],
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in (*CORE, *imported)},
        "servers": {
            name.removeprefix("prometheus-"): version_of(place)
            for name in PROGRAMS
            if (place := shutil.which(name, path=PATHS[GENERATION]))
        },
        "outcomes": dict(outcomes),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1))


def table(records: list[dict[str, Any]]) -> str:
    """Return the records as a table, a line each.

    Raises:
        ValueError: there is no record, or tests of one have failed.
    """
    if not records:
        raise ValueError(f"no tests have left a record in {RECORDS}")
    if failed := [one["tests"] for one in records if one["outcomes"].get("failed") or one["outcomes"].get("error")]:
        raise ValueError(f"tests have failed: {', '.join(failed)}")
    lines = ["| tests | Python | packages | servers | passed | skipped |", "|---|---|---|---|--:|--:|"]
    for one in sorted(
        records, key=lambda one: (one["tests"], [int(part) for part in re.findall(r"\d+", one["python"])])
    ):
        packages, servers = (_listed(one[what]) for what in ("packages", "servers"))
        passed, skipped = (one["outcomes"].get(outcome, 0) for outcome in ("passed", "skipped"))
        lines.append(f"| {one['tests']} | {one['python']} | {packages} | {servers} | {passed:,} | {skipped} |")
    systems = sorted({one["system"] for one in records})
    return "\n".join([*lines, "", f"{', '.join(systems)}, {max(one['date'] for one in records)}.", ""])


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


if __name__ == "__main__":
    found = table([json.loads(path.read_text()) for path in sorted(RECORDS.glob("*.json"))])
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}{found}{END}{rest.partition(END)[2]}")
    print(found)  # noqa: T201  CI shows it
