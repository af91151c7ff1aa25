"""The processes that `ddp_spawn`, `ddp_fork` and notebooks start: no hook says there that an exception ends one."""

from __future__ import annotations

import atexit
import multiprocessing.util
import signal
import sys
from collections.abc import Callable
from types import FrameType


def when_it_ends(end: Callable[[BaseException], None]) -> bool:
    """Have this process call `end` with what ends it, perhaps twice; returns whether it is such a process."""
    if multiprocessing.parent_process() is None:
        return False
    process = _process_frame()
    # Up to Python 3.12 the first is called in a `finally` around all that the process does, while the exception is
    # being handled. From 3.13 on both are called after that, and what is registered last first.
    multiprocessing.util.Finalize(None, _end, args=(end, process), exitpriority=100)
    atexit.register(_end, end, process)
    return True


def _process_frame() -> FrameType | None:
    """Return the frame in which multiprocessing runs this process: when it has ended, it has the exit code."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  nothing else tells the exit code
    while frame is not None and (frame.f_code.co_name, frame.f_globals.get("__name__")) != (
        "_bootstrap",
        "multiprocessing.process",
    ):
        frame = frame.f_back
    return frame


def _end(end: Callable[[BaseException], None], process: FrameType | None) -> None:
    error = sys.exception()
    if error is None:
        code = process.f_locals.get("exitcode") if process is not None else None
        regular = code in (None, 0, 128 + signal.SIGINT)
        error = SystemExit(code) if regular else RuntimeError(f"the process ends with exit code {code}")
    # PyTorch's launcher turns an exception into `sys.exit(1)`, and Ctrl-C into nothing or `sys.exit(130)`.
    end(error.__context__ if type(error) is SystemExit and error.__context__ is not None else error)
