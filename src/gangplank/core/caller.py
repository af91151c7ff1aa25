"""Whether the function of a framework that calls us is still running."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType


def watch_caller(package: str, *functions: str, outermost: bool = False) -> Callable[[], bool] | None:
    """Return a function that returns whether the function of a framework that calls us is still running.

        run.start(epochs=epochs, alive=gangplank.watch_caller("keras", "fit", "evaluate"))

    The framework may call no hook when an exception ends its function, and a notebook's process lives on. What is
    returned looks for the function's frame on the stack of its thread, which takes 20 to 70 us, and keeps nothing of
    the call alive. The next call of the same function from the same place may look like it: keep the run by an object
    of the framework that goes with the call as well.

    Args:
        package: the framework's; the function is in it, or in one of its modules.
        functions: their names.
        outermost: which of them is watched if they call each other: by default the innermost.

    Returns:
        None if none of them calls us, such as in a training loop of the user's.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  there is no other way to find the caller
    found = None
    while frame is not None and (found is None or outermost):
        if frame.f_code.co_name in functions and f"{frame.f_globals.get('__name__')}.".startswith(f"{package}."):
            found = id(frame), frame.f_code
        frame = frame.f_back
    if found is None:
        return None
    thread, (identity, code) = threading.get_ident(), found

    def is_running() -> bool:
        frame = sys._current_frames().get(thread)  # noqa: SLF001  as above
        while frame is not None:
            if id(frame) == identity and frame.f_code is code:
                return True
            frame = frame.f_back
        return False

    return is_running
