"""A bounded queue of tasks, and the thread that does them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
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
        self._tasks: deque[Callable[[], None]] = deque()
        self._busy = False
        self._worker = Worker(self._name, self._work, self._changed)

    @property
    def full(self) -> bool:
        """Whether there is no room for another task."""
        return len(self._tasks) >= self._size

    @property
    def here(self) -> bool:
        """Whether the calling thread is the one that does the tasks."""
        return self._worker.current

    def put(self, task: Callable[[], None]) -> bool:
        """Queue a task, and return at once; return whether there was room for it."""
        with self._lock:
            if self.full:
                return False
            self._tasks.append(task)
            self._worker.start()
            self._changed.notify_all()
            return True

    def retry_now(self) -> None:
        """Do nothing: tasks are never delayed."""

    def flush(self, end: float) -> None:
        """Wait until every task is done, at most until `end` (of the monotonic clock)."""
        if self.here:
            return
        with self._lock:
            self._changed.wait_for(
                lambda: not (self._tasks or self._busy) or not self._worker.alive, max(0.0, end - time.monotonic())
            )

    def _work(self) -> None:
        while True:
            with self._lock:
                self._busy = False
                self._changed.notify_all()
                if not self._changed.wait_for(lambda: self._tasks or not self._worker.current, _LINGER):
                    self._worker.leave()
                if not self._worker.current:
                    return
                self._busy = True
                task = self._tasks.popleft()
            with contextlib.suppress(BaseException):  # tasks report what they raise
                task()
            del task  # the arrays that it holds
