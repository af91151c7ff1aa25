"""The exit codes of the verbs."""

from __future__ import annotations

import sys

DONE, FAILED, USAGE_ERROR = 0, 1, 2
INTERRUPTED = 130  # as shells report Ctrl-C


def epilog(*, done: str, failed: str) -> str:
    """Return the end of a verb's help: what its exit codes mean."""
    return f"Exit codes: 0: {done}; 1: {failed}; 2: usage error."


def usage_error(verb: str, message: str) -> int:
    """Print what is wrong with a command line; return its exit code."""
    print(f"gangplank {verb}: {message}", file=sys.stderr)
    return USAGE_ERROR
