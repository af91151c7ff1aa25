"""The `gangplank` command: one file per verb."""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gangplank.cli import adapters, dashboards, delete, demo, gateway, plugins, prune, rules, show
from gangplank.cli.doctor import verb as doctor
from gangplank.cli.exit_codes import FAILED, INTERRUPTED
from gangplank.cli.watch import verb as watch
from gangplank.core.errors import GangplankError
from gangplank.core.version import VERSION

_EPILOG = """\
exit codes: 0 done, or all is well; 1 it failed, or something is wrong; 2 usage error; 130 Ctrl-C.
`gangplank VERB --help` says what they mean for a verb."""

# New objects between two searches for garbage in cycles. The page of a thousand runs is 100,000 objects and no garbage:
# with Python's 700, the searches take as long as reading it.
_OBJECTS = 50_000


class _Help(argparse.RawDescriptionHelpFormatter):
    """Has room for the longest verb: argparse indents verbs once more than it has counted."""

    def format_help(self) -> str:
        self._action_max_length += self._indent_increment
        return super().format_help()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; return the exit code.

    Args:
        arguments: the command line without the program's name; by default, that of the process.

    Raises:
        SystemExit: a usage error, or a request for help.
    """
    if sys.stdout is None:  # it was closed before we began
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  it is used until the process ends
    thresholds = gc.get_threshold()
    gc.set_threshold(_OBJECTS)
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()  # now rather than when the interpreter ends, which would print a traceback
    except BrokenPipeError:
        _discard_output()  # `| head` has seen enough
        return FAILED
    except OSError as error:
        _discard_output()
        print(f"gangplank: {error}", file=sys.stderr)
        return FAILED
    finally:
        gc.set_threshold(*thresholds)


def _run(arguments: Sequence[str] | None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # Windows writes to a file in a code page that lacks most characters
    parser = argparse.ArgumentParser(
        prog="gangplank",
        description="Training runs in Prometheus.",
        epilog=_EPILOG,
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"gangplank {VERSION}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for verb in (adapters, dashboards, delete, demo, doctor, gateway, plugins, prune, rules, show, watch):
        verb.add(verbs)
    parsed = parser.parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
    except GangplankError as error:
        print(f"gangplank: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("gangplank: interrupted", file=sys.stderr)
        return INTERRUPTED
    return code


def _discard_output() -> None:
    """Discard what could not be printed: the interpreter would try again when it ends."""
    with contextlib.suppress(OSError, ValueError):  # stdout is not a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
