"""`gangplank dashboards`: dashboards for Grafana."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from gangplank.cli.exit_codes import DONE, epilog
from gangplank.monitoring import dashboards


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        "dashboards",
        help="write dashboards for Grafana",
        description="Write two dashboards for Grafana 9 and newer: one of all runs, and one of a run or several.",
        epilog=epilog(done="written", failed="a file cannot be written"),
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path(), help="the folder to write to (default: the current one)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the dashboards, and print their paths; return the exit code."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, dashboard in dashboards().items():
        path = arguments.out / name
        path.write_text(json.dumps(dashboard, indent=2) + "\n", "utf-8")
        print(path)
    return DONE
