"""Whether a fit still goes on: Keras says nothing when an exception ends it, and a notebook's process lives on."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType


def watch_caller() -> Callable[[], bool]:
    """Return a look whether the `fit` or `evaluate` of Keras that calls us is still on its thread's stack.

    The look takes some 20 to 70 us, and keeps nothing of the call alive. Where nothing of Keras calls, as in a loop of
    the user's own, it always says yes.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  there is no other way to see who calls
    while frame is not None and not _is_keras_loop(frame):
        frame = frame.f_back
    if frame is None:
        return lambda: True
    thread, identity, code = threading.get_ident(), id(frame), frame.f_code

    def goes_on() -> bool:
        frame = sys._current_frames().get(thread)  # noqa: SLF001  likewise
        while frame is not None:
            if id(frame) == identity and frame.f_code is code:
                return True
            frame = frame.f_back
        return False

    return goes_on


def _is_keras_loop(frame: FrameType) -> bool:
    return frame.f_code.co_name in ("fit", "evaluate") and frame.f_globals.get("__name__", "").startswith("keras.")
