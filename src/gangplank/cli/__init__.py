"""The `gangplank` command: one file per verb."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from collections.abc import Sequence

from gangplank import GangplankError
from gangplank.cli import demo, gateway


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; returns the exit code: 0 for success, 1 for failure, 2 for a command line that makes no sense."""
    parser = argparse.ArgumentParser(prog="gangplank", description="Training runs in Prometheus.")
    version = importlib.metadata.version("gangplank")
    parser.add_argument("--version", action="version", version=f"gangplank {version}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for verb in (demo, gateway):
        verb.add(verbs)
    chosen = parser.parse_args(arguments)
    try:
        code: int = chosen.run(chosen)
    except GangplankError as error:
        print(f"gangplank: {error}", file=sys.stderr)
        return 1
    return code
