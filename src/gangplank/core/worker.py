"""A thread that comes and goes with its work."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

# Seconds that a thread may take to begin after it has started; one that takes longer is replaced.
_BEGINS = 0.1


class Worker:
    """A daemon thread that its owner starts when there is work, and that ends when there is none.

    Whatever has ended it, the next `start` starts another, and never are there two: a thread that is no longer current
    has to return. Use it with the lock of `changed` held.

    Args:
        name: of the thread.
        work: what it does; returns when nothing is left, or when it is not current.
        changed: notified when it has ended.
    """

    def __init__(self, name: str, work: Callable[[], None], changed: threading.Condition) -> None:
        self._name = name
        self._work = work
        self._changed = changed
        self._thread: threading.Thread | None = None
        self._life = threading.Lock()  # held by the thread for as long as it lives

    @property
    def alive(self) -> bool:
        """Whether it works."""
        # `Thread.is_alive`, if Ctrl-C interrupts it, has taken a thread that works for dead, up to Python 3.12.
        return self._thread is not None and self._life.locked()

    @property
    def current(self) -> bool:
        """Whether the calling thread is the one that works."""
        return self._thread is threading.current_thread()

    def start(self) -> None:
        """Start it, unless it is alive. If no thread can start now, the next call tries again."""
        if self.alive:
            return
        life, begun = threading.Lock(), threading.Lock()
        begun.acquire()  # until the thread has its life
        thread = threading.Thread(target=self._run, args=(life, begun), name=self._name, daemon=True)
        # Known before it starts: after Ctrl-C inside `start`, nobody can tell whether it did. If it did, but is not
        # seen alive by the next call, it will find that it is not current.
        self._thread, self._life = thread, life
        with contextlib.suppress(RuntimeError):  # too many threads, or the interpreter is shutting down
            thread.start()
            begun.acquire(timeout=_BEGINS)

    def leave(self) -> None:
        """To be called by the work, before it returns: the next `start` starts another thread."""
        if self.current:
            self._thread = None

    def _run(self, life: threading.Lock, begun: threading.Lock) -> None:
        with life:
            begun.release()
            try:
                self._work()
            finally:  # at once: before the traceback is printed, or sent to somebody who tracks errors
                with self._changed:
                    self.leave()
                    self._changed.notify_all()
