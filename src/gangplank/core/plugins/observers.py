"""The thread that calls the observers, with a bounded queue in front of it."""

from __future__ import annotations

import copy
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from typing import Any

from gangplank.core.lifecycle import process
from gangplank.core.log import Log, describe
from gangplank.core.plugins.hookspecs import hookimpl
from gangplank.core.types import Delivery, Outcome, RunInfo, RunView, Snapshot
from gangplank.core.worker import Worker

# Events in the queue; when it is full, new ones are dropped.
_QUEUE_SIZE = 1_000

Answer = Callable[[str, object], None]


class Observers:
    """Calls each observer with each event, in order, on one thread.

    An observer that raises is reported once, by its name, and is called with the next event all the same. An observer
    that hangs delays only the other observers.

    Args:
        log: reports what observers raise.
    """

    flush_timeout = 0.3

    def __init__(self, log: Log) -> None:
        self._log = log
        self._hooks: dict[str, Mapping[str, Callable[..., Any]]] = {}
        self._wanted: frozenset[str] = frozenset()
        self.reset()
        process.senders.add(self)

    def reset(self) -> None:
        """Discard the queue, and replace the thread and the lock."""
        # To be entered itself: Ctrl-C inside `Condition.__enter__`, which is Python, would leave it locked for ever.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._queue: deque[tuple[str, Answer | None, dict[str, Any]]] = deque()
        self._busy = False
        self._worker = Worker("gangplank-observers", self._call_all, self._changed)
        self._log.reset()

    def add(self, name: str, hooks: Mapping[str, Callable[..., Any]]) -> None:
        """Add an observer: by the name of each hook, the callable that calls it and returns a list of results."""
        self._change({**self._hooks, name: hooks})

    def remove(self, name: str) -> None:
        """Remove an observer."""
        self._change({other: hooks for other, hooks in self._hooks.items() if other != name})

    def _change(self, hooks: dict[str, Mapping[str, Callable[..., Any]]]) -> None:
        self._hooks = hooks
        self._wanted = frozenset(hook for each in hooks.values() for hook in each)

    def notify(self, hook: str, run: RunView, answer: Answer | None = None, **event: Any) -> None:
        """Queue an event for all observers; returns at once.

        Args:
            hook: the name of the hook.
            run: the run, which observers get as a `RunInfo`.
            answer: called with the name of the observer and each result, on the observers' thread.
            event: the other arguments of the hook.
        """
        if hook not in self._wanted:
            return
        event["run"] = RunInfo(run.group, run.name)
        with self._lock:
            full = len(self._queue) >= _QUEUE_SIZE
            if not full:
                self._queue.append((hook, answer, event))
            self._worker.start()
        if full:
            names = ", ".join(self._hooks)
            self._log.warn_throttled("full", "Plugins (%s) do not keep up: an event is dropped", names)

    def retry_now(self) -> None:
        """Do nothing: events are never delayed."""

    def flush(self, end: float) -> None:
        """Wait until every event has been handled, at most until `end` (of the monotonic clock)."""
        with self._lock:
            self._changed.wait_for(
                lambda: not (self._queue or self._busy) or not self._worker.alive, max(0.0, end - time.monotonic())
            )

    def _call_all(self) -> None:
        while True:
            with self._lock:
                if not self._worker.current:
                    return
                self._busy = bool(self._queue)
                self._changed.notify_all()
                if not self._queue:
                    self._worker.leave()
                    return
                hook, answer, event = self._queue.popleft()
            for name, hooks in self._hooks.items():
                if hook not in hooks:
                    continue
                try:
                    # Each gets a copy, so that observers cannot change what others see.
                    for result in hooks[hook](**copy.deepcopy(event)):
                        if answer is not None:
                            answer(name, result)
                except BaseException as error:  # noqa: BLE001  plugins may raise anything
                    warn_raised(self._log, name, hook, error)


def warn_raised(log: Log, plugin: str, hook: str, error: BaseException) -> None:
    """Warn that a plugin has raised, once for each plugin."""
    log.warn_once(f"raised {plugin}", "The plugin %s raised in %s: %s", plugin, hook, describe(error))


class PassOn:
    """A wrapper around the plugins of an exporter's manager, which passes each call on to the observers."""

    def __init__(self, observers: Observers) -> None:
        self._notify = observers.notify

    @hookimpl(wrapper=True)
    def gangplank_run_started(self, run: RunView) -> Generator[None, Any, Any]:
        """Pass it on, after the exporter has handled it."""
        try:
            return (yield)
        finally:
            self._notify("gangplank_run_started", run)

    @hookimpl(wrapper=True)
    def gangplank_snapshot(self, run: RunView, snapshot: Snapshot) -> Generator[None, Any, Any]:
        """Pass it on, after the exporter has handled it."""
        try:
            return (yield)
        finally:
            self._notify("gangplank_snapshot", run, snapshot=snapshot)

    @hookimpl(wrapper=True)
    def gangplank_run_finished(self, run: RunView, outcome: Outcome) -> Generator[None, Any, Any]:
        """Pass it on, after the exporter has waited for the last page."""
        try:
            return (yield)
        finally:
            self._notify("gangplank_run_finished", run, outcome=outcome)

    @hookimpl(wrapper=True)
    def gangplank_delivered(self, run: RunView, delivery: Delivery) -> Generator[None, Any, Any]:
        """Pass it on."""
        try:
            return (yield)
        finally:
            self._notify("gangplank_delivered", run, delivery=delivery)
