"""Measure gangplank and its peers in turns, in several rounds; report the targets, and write docs/performance.md.

A contestant that computes a wrong result ends the benchmark with an error. A target that is missed does not: it is
reported.
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
# The module that measures each row.
ROWS = {
    "histogram": "weights",
    "kinds": "weights",
    "tiny": "weights",
    "memory": "weights",
    "growth": "weights",
    "epoch_end": "hooks",
    "step": "hooks",
    "transformers_step": "hooks",
    "slowdown": "hooks",
    "predict": "predict",
    "pages": "pages",
    "imports": "imports",
    "capacity": "capacity",
    "accelerator": "accelerator",
}
VERSIONED = (
    "gangplank",
    "numpy",
    "prometheus_client",
    "keras",
    "tensorflow",
    "tensorboard",
    "torch",
    "lightning",
    "transformers",
)


def measure(rows: Sequence[str], options: Options) -> dict[str, Any]:
    """Measure rows, and print the figures of each as soon as there are any."""
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
    """Return the hardware and the software, without anything that identifies the machine."""
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
    for contestant in contest.rounds:
        median, low, high = map(tables.number, contest.spread(contestant))
        ratio = (
            ""
            if contestant == reference or not contest.compared
            else f"   x {tables.times(contest.ratio(contestant, reference))}"
        )
        print(f"  {contestant:40} {median:>10} {contest.unit} ({low} to {high}){ratio}")
    for contestant, why in contest.missing.items():
        print(f"  {contestant:40} not measured: {why}")
    for target in contest.targets:
        aim = f"{target.than or target.of}: {tables.aim(target, contest.unit)}"
        print(f"  -> {aim}: {tables.verdict(contest, target)}", flush=True)


def write(result: dict[str, Any]) -> None:
    """Write the tables and plots of a result to the documentation."""
    drawn = plots.plots(result)
    folder = PAGE.parent / "plots"
    folder.mkdir(exist_ok=True)
    for name, svg in drawn.items():
        (folder / name).write_text(svg)
    PAGE.write_text(filled(PAGE.read_text(), tables.tables(result)))
    if "<!-- bench -->" in README.read_text():
        README.write_text(filled(README.read_text(), tables.headlines(result)))


def filled(page: str, text: str) -> str:
    """Return a page with its text between the markers replaced."""
    begin, end = "<!-- bench -->\n", "<!-- /bench -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"the page has no markers {begin.strip()} and {end}")
    return f"{before}{begin}{text.strip()}\n{end}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the rows that the command line names."""
    parser = argparse.ArgumentParser(description="Measure gangplank and its peers, in turns.")
    parser.add_argument("--quick", action="store_true", help="small sizes, for a first impression: minutes")
    parser.add_argument("--only", nargs="+", choices=ROWS, metavar="ROW", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, help="turns of each contestant (default: 5; with --quick 2)")
    parser.add_argument(
        "--json", type=Path, help=f"file for the figures (default for all rows: {RESULTS.relative_to(ROOT)})"
    )
    parser.add_argument("--write", action="store_true", help="write docs/performance.md, its plots, and the README")
    parser.add_argument(
        "--again", action="store_true", help="measure nothing: with --write, use the figures in the file"
    )
    options = parser.parse_args(arguments)
    file = options.json or (None if options.only or options.quick else RESULTS)
    if options.again:
        write(json.loads((options.json or RESULTS).read_text()))
        return 0
    if options.write and (options.only or options.quick):
        parser.error("--write needs all rows, measured in full: leave out --only and --quick")
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
