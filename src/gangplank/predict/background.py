"""A bounded queue of tasks, and the thread that does them."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable

from gangplank.core.lifecycle import process
from gangplank.core.worker import Worker

# Seconds that the thread waits for another task before it ends: starting one takes longer than a small prediction.
_LINGER = 60.0


class Background:
    """Does tasks one after the other, on a thread that there is only while it has something to do.

    A forked child has a queue of its own, which is empty: the parent does what is in the parent's. When the process
    exits, it waits a moment for the tasks that are left.

    Args:
        name: of the thread.
        size: how many tasks may wait.
    """

    flush_timeout = 0.3

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self.reset()
        process.senders.add(self)

    def reset(self) -> None:
        """Discard the queue, and replace the thread and the lock."""
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        # Written in C: a condition would take the caller, whose caches are cold, 10 us more to wake the thread.
        self._tasks: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._worker = Worker(self._name, self._work, self._changed)

    @property
    def full(self) -> bool:
        """Whether there is no room for another task."""
        return self._tasks.qsize() >= self._size

    @property
    def here(self) -> bool:
        """Whether the calling thread is the one that does the tasks."""
        return self._worker.current

    def put(self, task: Callable[[], None]) -> bool:
        """Queue a task, and return at once; return whether there was room for it."""
        with self._lock:
            if self._tasks.qsize() >= self._size:  # not `full`: a call takes microseconds
                return False
            self._tasks.put(task)
            if not self._worker.alive:
                self._worker.start()
            return True

    def end(self) -> None:
        """Have the thread end when it has done its tasks; takes no lock, so that a collected object may call it."""
        self._tasks.put(None)

    def retry_now(self) -> None:
        """Do nothing: tasks are never delayed."""

    def flush(self, end: float) -> None:
        """Wait until the tasks that were put before are done, at most until `end` (of the monotonic clock)."""
        if self.here:
            return
        done = threading.Event()
        with self._lock:
            if not self._worker.alive:
                return
            self._tasks.put(done.set)
        done.wait(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        with self._lock:
            if not self._worker.current:
                return
        while True:
            try:
                task = self._tasks.get(timeout=_LINGER)
            except queue.Empty:
                task = None
            if task is None:
                with self._lock:
                    if self._tasks.empty():
                        self._worker.leave()
                        return
                continue
            with contextlib.suppress(BaseException):  # tasks report what they raise
                task()
            del task  # the arrays that it holds
