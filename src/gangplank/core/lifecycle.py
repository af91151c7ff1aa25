"""The open runs and pending pages of this process, and what happens to them when it forks or exits."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Protocol

from gangplank.core.ending import NothingEndedIt, at_the_end_of_a_child


class OpenRun(Protocol):
    """A run that has to be ended when the process exits."""

    @property
    def open(self) -> bool:
        """Whether it has started, in this process, and has not ended."""

    @property
    def watched(self) -> bool:
        """Whether its end is noticed: otherwise it may be over although it is open."""

    def end_if_lost(self) -> None:
        """End it if the training is over."""

    def end_if_over(self) -> None:
        """End it if the training was on this thread, and is over."""

    def lose(self, error: BaseException) -> None:
        """End it with this error; does not wait."""

    def detach(self) -> None:
        """Leave the run to the parent process."""


class Sender(Protocol):
    """Something that may hold pages or events that have not been delivered."""

    @property
    def flush_timeout(self) -> float:
        """Seconds that the process waits for it at most when it exits."""

    def retry_now(self) -> None:
        """Try to deliver them now."""

    def flush(self, end: float) -> None:
        """Wait until they are delivered, at most until `end` (of the monotonic clock)."""

    def reset(self) -> None:
        """Discard them, and replace all locks and threads."""


class Process:
    """What one process has open; there is one instance, `process`.

    Attributes:
        runs: the runs that are open.
        senders: destinations and observers, which may hold something that has not been delivered.
        shown: the page that each destination shows of a group, among the runs of all exporters.
        on_their_way: what each destination is being sent of a group, by the runs of all exporters.
        taking_turns: to be held while these two change.
        late: pages of a group that may still arrive at a destination, see `Outbox`.
        not_waited_for: destinations that the end of a run does not wait for, because the last wait timed out or failed.
        exiting: whether the process is exiting.
    """

    def __init__(self) -> None:
        self.runs: weakref.WeakSet[OpenRun] = weakref.WeakSet()
        self._ends_as_a_child = False
        self.senders: weakref.WeakSet[Sender] = weakref.WeakSet()
        self.shown: weakref.WeakValueDictionary[tuple[str, Hashable], object] = weakref.WeakValueDictionary()
        self.on_their_way: dict[tuple[str, Hashable], list[Any]] = {}
        self.taking_turns = threading.RLock()
        self.late: dict[tuple[str, Hashable], float] = {}
        self.not_waited_for: set[str] = set()
        self.exiting = False

    def begin(self, run: OpenRun) -> None:
        """Note a run that has begun."""
        self.runs.add(run)
        multiprocessing = sys.modules.get("multiprocessing.process")  # imported in the processes that it starts
        if not self._ends_as_a_child and multiprocessing is not None and multiprocessing.parent_process() is not None:
            self._ends_as_a_child = True
            at_the_end_of_a_child(self.exit)

    def reset(self) -> None:
        """Discard everything in a forked child: runs and pages are the parent's, and threads are gone."""
        self._ends_as_a_child = False
        for run in list(self.runs):
            run.detach()
        self.runs.clear()
        self.shown.clear()
        self.on_their_way.clear()
        self.taking_turns = threading.RLock()
        self.late.clear()
        self.not_waited_for.clear()
        for sender in list(self.senders):
            sender.reset()

    def exit(self, error: BaseException | None = None) -> None:
        """End the runs that are still open, and try once more to deliver what is pending.

        All pages are sent at the same time.

        Args:
            error: what ends the process; by default, the uncaught exception. If there is none, the process ends as if
                nothing had happened: the runs have failed, since nothing has ended them.
        """
        self.exiting = True
        notice_fork()
        error = error or getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
        for run in list(self.runs):
            with contextlib.suppress(Exception):
                run.lose(error or NothingEndedIt())
        senders = list(self.senders)
        for sender in senders:
            with contextlib.suppress(Exception):
                sender.retry_now()
        start = time.monotonic()
        for sender in senders * 2:  # twice: a plugin may return more to send while we wait for it
            with contextlib.suppress(Exception):
                sender.flush(start + sender.flush_timeout)


process = Process()


_resets: list[Callable[[], None]] = []
_pid = os.getpid()


def after_fork(reset: Callable[[], None]) -> None:
    """Call a function in each forked child; Windows does not fork."""
    _resets.append(reset)


def notice_fork() -> bool:
    """Return whether this is a forked child that has not been reset, and reset it; takes less than a microsecond.

    Python tells of the forks that it makes itself, but does not know of those in C, such as R's `mclapply`. So the
    methods that a training calls look for themselves.
    """
    global _pid  # noqa: PLW0603  there is one process
    if os.getpid() == _pid:
        return False
    _pid = os.getpid()
    for reset in _resets:
        with contextlib.suppress(Exception):
            reset()
    return True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=notice_fork)


atexit.register(process.exit)
after_fork(process.reset)
