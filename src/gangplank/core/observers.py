"""The plugins of strangers: told on a thread of their own, each guarded, behind a queue that has an end."""

from __future__ import annotations

import contextlib
import copy
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from gangplank.core import process
from gangplank.core.report import Report, told

# Events that wait for an observer; later ones are dropped.
_MOST_WAITING = 1_000


class Observers:
    """Tells each observer of each event, in order.

    An observer that raises is reported once, by its name, and told of the next event all the same. One that hangs holds
    up the other observers, and nothing else.

    Args:
        callers: by the observer's name, then by the hook's: what calls that hook in that observer and returns a list of
            what it returned.
        report: where faults are reported.
    """

    flush_timeout = 0.3

    def __init__(self, callers: Mapping[str, Mapping[str, Callable[..., Any]]], report: Report) -> None:
        self._callers = callers
        self._hooks = {hook for hooks in callers.values() for hook in hooks}
        self._report = report
        self.renew()
        process.this.senders.add(self)

    def renew(self) -> None:
        """Begin with nothing to tell."""
        self._changed = threading.Condition(threading.RLock())
        self._waiting: deque[tuple[str, Callable[[str, object], None] | None, dict[str, Any]]] = deque()
        self._busy = False
        self._thread: threading.Thread | None = None
        self._report.renew()

    def hear(self, hook: str) -> bool:
        """Return whether anybody wants to be told of such an event."""
        return hook in self._hooks

    def tell(self, hook: str, answer: Callable[[str, object], None] | None = None, **event: Any) -> None:
        """Tell of an event; returns at once.

        What an observer returns is given to `answer`, after its name, on the observers' thread.
        """
        with self._changed:
            full = len(self._waiting) >= _MOST_WAITING
            if not full:
                self._waiting.append((hook, answer, event))
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="gangplank-observers", daemon=True)
                with contextlib.suppress(RuntimeError):  # the interpreter shuts down
                    thread.start()
                    self._thread = thread
        if full:
            names = ", ".join(self._callers)
            self._report.trouble("full", "Plugins (%s) do not keep up: an event is dropped", names)

    def hurry(self) -> None:
        """They are told as fast as they listen."""

    def flush_until(self, end: float) -> None:
        """Wait for them to be told of all, up to a moment of the monotonic clock."""
        with self._changed:
            while (self._waiting or self._busy) and self._thread is not None and time.monotonic() < end:
                self._changed.wait(max(0.0, end - time.monotonic()))

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = bool(self._waiting)
                self._changed.notify_all()
                if not self._waiting:
                    self._thread = None
                    return
                hook, answer, event = self._waiting.popleft()
            for name, callers in self._callers.items():
                if hook not in callers:
                    continue
                try:
                    # Each gets a copy: what one does to it is seen by no other.
                    for result in callers[hook](**copy.deepcopy(event)):
                        if answer is not None:
                            answer(name, result)
                except BaseException as error:  # noqa: BLE001  theirs, whatever it is
                    self._report.once(f"raised {name}", "The plugin %s raised in %s: %s", name, hook, told(error))
