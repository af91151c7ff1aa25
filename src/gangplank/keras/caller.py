"""Which call of Keras a callback is in: it gets no object for that, so it is looked for on the stack."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType

from keras.callbacks import CallbackList


def calling_lists() -> Iterator[CallbackList]:
    """Yield the callback lists that call us, the innermost first: each fit and evaluation has its own.

    A callback that wraps another, and a training loop of the user's, have a list as well.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  there is no other way to find the caller
    found = None
    while frame is not None:
        # Only where the list is: Python keeps what `f_locals` has returned as long as the frame lives.
        if frame.f_globals.get("__name__") == CallbackList.__module__:
            one = frame.f_locals.get("self")
            if isinstance(one, CallbackList) and one is not found:
                found = one
                yield one
        frame = frame.f_back
