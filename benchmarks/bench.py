"""Measure gangplank and its peers in turns, several rounds; say what is reached, and write docs/performance.md.

A row that is measured wrong, because a contestant computed something wrong, ends it with an error. A target that is
missed does not: it is written down.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import importlib
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import plots, tables
from benchmarks.contest import Contest, Options, WrongAnswerError

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results.json"
PAGE, README = ROOT / "docs" / "performance.md", ROOT / "README.md"
# Each row by name, with the room that measures it.
ROWS = {
    "histogram": "weights",
    "kinds": "weights",
    "tiny": "weights",
    "memory": "weights",
    "growth": "weights",
    "epoch_end": "hooks",
    "step": "hooks",
    "slowdown": "hooks",
    "pages": "pages",
    "imports": "imports",
    "capacity": "capacity",
    "accelerator": "accelerator",
}
VERSIONED = ("gangplank", "numpy", "prometheus_client", "keras", "tensorflow", "tensorboard", "torch", "lightning")


def measure(rows: Sequence[str], options: Options) -> dict[str, Any]:
    """Measure rows, and print each as it comes."""
    contests = []
    for row in rows:
        start = time.monotonic()
        for contest in getattr(importlib.import_module(f"benchmarks.{ROWS[row]}"), row)(options):
            show(contest)
            contests.append(contest.to_json())
        print(f"  ({row}: {time.monotonic() - start:.0f} s)\n", flush=True)
    return {
        "machine": machine(),
        "versions": dict(_versions()),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "quick": options.quick,
        "rounds": options.rounds,
        "contests": contests,
    }


def machine() -> dict[str, Any]:
    """Return what it is measured on, with nothing that names the machine."""
    cpu = platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), cpu)
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _versions() -> Iterator[tuple[str, str]]:
    for name in VERSIONED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield name, importlib.metadata.version(name).partition("+")[0]


def show(contest: Contest) -> None:
    """Print a contest."""
    print(f"{contest.group}: {contest.what}")
    reference = next(iter(contest.rounds), "")
    for who in contest.rounds:
        median, low, high = map(tables.number, contest.spread(who))
        ratio = (
            "" if who == reference or not contest.compared else f"   x {tables.times(contest.ratio(who, reference))}"
        )
        print(f"  {who:40} {median:>10} {contest.unit} ({low} to {high}){ratio}")
    for who, why in contest.missing.items():
        print(f"  {who:40} not measured: {why}")
    for target in contest.targets:
        aim = f"{target.than or target.of}: {tables.aim(target, contest.unit)}"
        print(f"  -> {aim}: {tables.verdict(contest, target)}", flush=True)


def write(result: dict[str, Any]) -> None:
    """Write the tables and plots of a result into the documentation."""
    drawn = plots.plots(result)
    folder = PAGE.parent / "plots"
    folder.mkdir(exist_ok=True)
    for name, svg in drawn.items():
        (folder / name).write_text(svg)
    PAGE.write_text(filled(PAGE.read_text(), tables.tables(result)))
    if "<!-- bench -->" in README.read_text():
        README.write_text(filled(README.read_text(), tables.headlines(result)))


def filled(page: str, text: str) -> str:
    """Return a page with a text between its markers."""
    begin, end = "<!-- bench -->\n", "<!-- /bench -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"the page has no markers {begin.strip()} and {end}")
    return f"{before}{begin}{text.strip()}\n{end}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description="Measure gangplank and its peers, in turns.")
    parser.add_argument("--quick", action="store_true", help="small sizes, for a look: minutes")
    parser.add_argument("--only", nargs="+", choices=ROWS, metavar="ROW", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, help="turns of each contestant (default: 5; with --quick 2)")
    parser.add_argument("--json", type=Path, help=f"where the figures go (all rows: {RESULTS.relative_to(ROOT)})")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md, its plots, and the README")
    parser.add_argument("--again", action="store_true", help="measure nothing: --write what the file holds")
    options = parser.parse_args(arguments)
    file = options.json or (None if options.only or options.quick else RESULTS)
    if options.again:
        write(json.loads((options.json or RESULTS).read_text()))
        return 0
    if options.write and (options.only or options.quick):
        parser.error("--write: the documentation has all rows, measured in full")
    try:
        how = Options(quick=options.quick, rounds=options.rounds or (2 if options.quick else 5))
        result = measure(options.only or list(ROWS), how)
    except WrongAnswerError as wrong:
        print(f"WRONG: {wrong}", file=sys.stderr)
        return 1
    if file is not None:
        file.write_text(json.dumps(result, indent=1) + "\n")
    if options.write:
        write(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
