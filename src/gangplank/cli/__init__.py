"""The `gangplank` command: one file per verb."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence

from gangplank import GangplankError
from gangplank.cli import adapters, delete, demo, doctor, gateway, plugins, prune, show
from gangplank.core.version import VERSION

EXIT_CODES = """\
exit codes: 0 done, or all is well; 1 it failed, or something is wrong; 2 the command line makes no sense;
130 Ctrl-C. `gangplank VERB --help` says what that means for a verb."""
_INTERRUPTED = 130  # as a shell has it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; returns the exit code: 0 for success, 1 for failure, 2 for a command line that makes no sense."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # Windows writes to a file in a code page that lacks most characters
    parser = argparse.ArgumentParser(
        prog="gangplank",
        description="Training runs in Prometheus.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gangplank {VERSION}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for verb in (adapters, delete, demo, doctor, gateway, plugins, prune, show):
        verb.add(verbs)
    chosen = parser.parse_args(arguments)
    try:
        code: int = chosen.run(chosen)
    except GangplankError as error:
        print(f"gangplank: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("gangplank: interrupted", file=sys.stderr)
        return _INTERRUPTED
    return code
