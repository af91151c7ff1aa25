"""How a run ends that nothing has ended, and a process that another one has started: what can be found out."""

from __future__ import annotations

import atexit
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class NothingEndedIt(Exception):  # noqa: N818  it is never raised
    """What a run ends with whose training is over, and nobody knows why."""


def what_ends(thread: int | None = None) -> BaseException:
    """Return what ends a run that is over without a word: the exception that is being handled, if there is one.

    After an `except` block, nobody can tell any more what it has handled. An exception that no frame is left for is a
    SystemExit, or was being handled when `sys.exit` was called: Python keeps any other that ends the process.

    Args:
        thread: the identifier of the thread that handles the exception; by default, this one.
    """
    if thread is not None and thread != threading.get_ident():
        handled: Any = sys._current_exceptions().get(thread)  # noqa: SLF001  there is no other way
        error = handled[1] if isinstance(handled, tuple) else handled  # a tuple up to Python 3.11
        return error or NothingEndedIt()
    return sys.exception() or (SystemExit() if _nothing_runs() else NothingEndedIt())


def _nothing_runs() -> bool:
    """Return whether the main thread runs no code but ours and that of weak references: the process is exiting."""
    if threading.current_thread() is not threading.main_thread():
        return False  # one of a framework's own may have no frame
    frame: FrameType | None = sys._getframe()  # noqa: SLF001  as above
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in ("gangplank", "weakref", "_weakrefset"):
            return False
        frame = frame.f_back
    return True


def at_the_end_of_a_child(end: Callable[[BaseException | None], None]) -> None:
    """Have `end` called, possibly twice, with what ends this process, which multiprocessing has started.

    Such a process runs no `atexit` function of the parent's, and none at all if it was forked, before Python 3.13.
    """
    from multiprocessing import util  # noqa: PLC0415  multiprocessing has imported it already; otherwise it takes 5 ms

    frame: FrameType | None = sys._getframe()  # noqa: SLF001  as above: at its end, it holds the exit code
    while frame is not None and (frame.f_code.co_name, frame.f_globals.get("__name__")) != (
        "_bootstrap",
        "multiprocessing.process",
    ):
        frame = frame.f_back

    def ends() -> None:
        error = sys.exception()
        # PyTorch's launcher turns an exception into `sys.exit(1)`, and Ctrl-C into nothing or `sys.exit(130)`.
        if type(error) is SystemExit and error.__context__ is not None:
            error = error.__context__
        code = frame.f_locals.get("exitcode") if frame is not None else None
        end(error or (KeyboardInterrupt() if code == 128 + signal.SIGINT else None))

    # Up to Python 3.12, the first is called in a `finally` around the process' work, while the exception is being
    # handled. From 3.13 on, both are called after that, the one that is registered last first.
    util.Finalize(None, ends, exitpriority=100)
    atexit.register(ends)
