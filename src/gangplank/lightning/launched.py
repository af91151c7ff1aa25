"""The processes that `ddp_spawn`, `ddp_fork` and notebooks start: no hook says there that an exception ends one."""

from __future__ import annotations

import multiprocessing.util
import sys
from collections.abc import Callable


def when_it_ends(end: Callable[[BaseException], None]) -> bool:
    """Have this process call `end` with what ends it; returns whether it is such a process."""
    if multiprocessing.parent_process() is None:
        return False
    multiprocessing.util.Finalize(None, _end, args=(end,), exitpriority=100)
    return True


def _end(end: Callable[[BaseException], None]) -> None:
    # Called in a `finally` around all that the process does. PyTorch's launcher turns an exception into `sys.exit(1)`,
    # and Ctrl-C into nothing.
    error = sys.exception() or SystemExit()
    end(error.__context__ if type(error) is SystemExit and error.__context__ is not None else error)
