"""What a process does to its runs: it forks, and it ends."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import time
import weakref
from collections.abc import Callable
from typing import Protocol


class OpenRun(Protocol):
    """A run that someone should close."""

    def finish(self, error: BaseException | None = None) -> None:
        """End it."""

    def leave(self) -> None:
        """Leave it to the process that it was started in."""


class Sender(Protocol):
    """What may hold pages that have not arrived."""

    @property
    def flush_timeout(self) -> float:
        """Seconds that it may be waited for."""

    def hurry(self) -> None:
        """Try to send them now."""

    def flush_until(self, end: float) -> None:
        """Wait for them to arrive, up to a moment of the monotonic clock."""

    def renew(self) -> None:
        """Forget them, and every lock and thread."""


class _State:
    """What there is of both, and whether the process ends."""

    def __init__(self) -> None:
        self.runs: weakref.WeakSet[OpenRun] = weakref.WeakSet()
        self.senders: weakref.WeakSet[Sender] = weakref.WeakSet()
        self.ends = False


this = _State()


def after_fork(renew: Callable[[], None]) -> None:
    """Have a function called in each forked child; Windows has none."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)


def _end() -> None:
    """Close the runs that nobody has closed, and try once more to send what has not arrived.

    An exception that nobody caught has ended them, or `sys.exit`. They do not wait one after another: all pages travel
    at the same time, and are waited for together.
    """
    this.ends = True
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None) or SystemExit()
    for run in list(this.runs):
        with contextlib.suppress(Exception):
            run.finish(error)
    senders = list(this.senders)
    for sender in senders:
        with contextlib.suppress(Exception):
            sender.hurry()
    start = time.monotonic()
    for sender in senders * 2:  # once more: while the plugins are waited for, they may say what is to be sent
        with contextlib.suppress(Exception):
            sender.flush_until(start + sender.flush_timeout)


def _forked() -> None:
    """Begin anew in a forked child: what there is is the parent's, its threads are gone, and locks may be held."""
    for run in list(this.runs):
        run.leave()
    this.runs.clear()
    for sender in list(this.senders):
        sender.renew()


atexit.register(_end)
after_fork(_forked)
