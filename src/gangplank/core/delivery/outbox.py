"""The thread that sends to one destination: at once or at an interval, with retries, and a heartbeat every minute."""

from __future__ import annotations

import contextlib
import math
import queue
import random
import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic

from gangplank.core.delivery.pending import Answer, Pending, S
from gangplank.core.errors import DeliveryError
from gangplank.core.log import describe
from gangplank.core.types import Delivery
from gangplank.core.worker import Worker

FIRST_BACKOFF, LONGEST_BACKOFF = 0.2, 60.0
# The longest `Retry-After` of a server that is obeyed.
LONGEST_RETRY_AFTER = 600.0
HEARTBEAT = 60.0
# How long a page may still be on its way after its push has timed out.
SETTLING = 1.0
# Our own generator: a draw from the shared one would change the random numbers of a seeded training.
_JITTER = random.Random()  # noqa: S311  not for secrets


def retry_delay(error: DeliveryError, failures: int) -> float | None:
    """The retry policy: return the seconds until the next attempt, None if the page has to change first.

    Args:
        error: of the newest attempt.
        failures: failed attempts since the last success, this one included.
    """
    if not error.retry:
        return None
    backoff: float = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** min(failures - 1, 30))
    return max(backoff * _JITTER.uniform(0.5, 1.0), min(error.retry_after or 0.0, LONGEST_RETRY_AFTER))


class Outbox(Generic[S]):
    """Sends the newest page of each source on a thread of its own.

    Only the newest page matters, so a dirty flag takes the place of a queue. The thread starts with the first `wake`,
    and ends when no source is running and nothing is pending. If it has died, the next `wake` starts another. While no
    thread can start (there are too many, or the interpreter is shutting down), `flush` sends.

    Args:
        send: sends a source's newest page within a timeout in seconds; raises DeliveryError if it did not arrive.
        to: the destination, for messages.
        timeout: seconds that one push may take.
        push_interval: seconds between two pushes of a source, unless they are to be sent at once.
        on_delivery: called after each attempt, on the thread that sends.
        late: until when pages whose push has timed out may still arrive, by destination and group; it may be shared.
    """

    def __init__(
        self,
        send: Callable[[S, float], None],
        *,
        to: str,
        timeout: float,
        push_interval: float,
        on_delivery: Callable[[S, Delivery], None],
        late: dict[tuple[str, Hashable], float] | None = None,
    ) -> None:
        self._send = send
        self._to = to
        self._timeout = timeout
        self._push_interval = push_interval
        self._on_delivery = on_delivery
        # To wait for an answer releases the lock even if a signal handler waits, which has interrupted its holder.
        # To be entered itself: Ctrl-C inside `Condition.__enter__`, which is Python, would leave it locked for ever.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._sources: dict[S, Pending[S]] = {}
        self._late = {} if late is None else late
        self._worker = Worker("gangplank-outbox", self._run, self._changed)
        self._here = threading.RLock()  # held by a `flush` that sends
        self._page_is_made = False  # of the attempt that has begun

    def wake(self, source: S, *, at_once: bool = True) -> None:
        """Queue the source's newest page, to be sent at once, or when `push_interval` has passed since the last push.

        Returns at once. After a failure, the page is sent when the backoff has passed.
        """
        with self._lock:
            pending = self._sources.setdefault(source, Pending(source))
            pending.version += 1
            making = pending.sending is not None and not self._page_is_made
            if making and self._worker.current:
                pending.sending = pending.version  # `send` has ended the source: the page that it makes has that
            elif not pending.failures:
                soonest = time.monotonic() if at_once else pending.begun_at + self._push_interval
                pending.due = min(pending.due, soonest)
            self._ring()
            self._worker.start()

    def drop(self, source: S) -> None:
        """Send this source no more, until it is woken again."""
        with self._lock:
            pending = self._sources.pop(source, None)
            if pending is not None:
                pending.answer(pending.version, None)
                self._changed.notify_all()
                self._ring()

    def drop_if_unchanged(self, source: S) -> None:
        """To be called by `send`, which has nothing to send: drop this source, unless it was woken in the meantime."""
        with self._lock:
            pending = self._sources.get(source)
            if pending is not None and pending.version == pending.sending:
                self.drop(source)

    def page_is_made(self) -> None:
        """To be called by `send`: what wakes the outbox from now on is not in the page that is being sent.

        Even on the thread that sends, where a destructor may end a run.
        """
        self._page_is_made = True

    def is_due(self, source: S) -> bool:
        """Return whether `push_interval` has passed since the last push of a source; False if that push failed."""
        pending = self._sources.get(source)
        return pending is None or (not pending.failures and time.monotonic() >= pending.begun_at + self._push_interval)

    def flush(self, source: S, timeout: float) -> DeliveryError | None:
        """Wait until the source's current version has arrived, or the attempt to send it has failed.

        Returns None, or the error if it did not arrive within the timeout (seconds). Retries are not affected.
        """
        end = time.monotonic() + timeout
        with self._lock:
            pending = self._sources.get(source)
            if pending is None or self._worker.current:
                return None  # nothing is pending; or the caller is the thread that sends
            if pending.settled == pending.version:
                return pending.error
            answer = Answer(pending.version)
            pending.waiting.append(answer)
            self._hurry(pending)
        while not answer.given and (left := end - time.monotonic()) > 0:
            with self._lock:
                self._changed.wait_for(lambda: answer.given or not self._worker.alive, left)
            self._send_here(pending, answer, end)
        if answer.given:
            return answer.error
        return DeliveryError(f"{self._to} accepted nothing within {timeout:.1f} s", "timeout")

    def retry_now(self) -> None:
        """Send everything that is pending now, without waiting for the backoff."""
        with self._lock:
            for pending in self._sources.values():
                self._hurry(pending)

    def undelivered(self) -> list[S]:
        """Return the sources whose newest version is pending."""
        with self._lock:
            return [source for source, pending in self._sources.items() if pending.settled < pending.version]

    def abandon(self) -> None:
        """Discard everything that is pending; an attempt that has begun is completed, but not repeated."""
        with self._lock:
            for pending in self._sources.values():
                pending.answer(pending.version, DeliveryError(f"pages for {self._to} were abandoned", "internal"))
            self._changed.notify_all()
            self._sources.clear()
            self._ring()

    def _hurry(self, pending: Pending[S]) -> None:
        """Make it due now, unless its newest version is being sent or settled."""
        if pending.settled < pending.version != pending.sending:
            pending.urgent = True
            self._ring()

    def _send_here(self, pending: Pending[S], answer: Answer, end: float) -> None:
        """Make an attempt on the calling thread, unless it has been made, or there is a thread to make it."""
        with self._here:
            with self._lock:
                timeout = min(end - time.monotonic(), self._timeout)
                if answer.given or self._worker.alive or timeout <= 0:
                    return
                self._begin(pending)
            raised = self._attempt(pending, timeout)
        if raised is not None and not isinstance(raised, Exception):  # Ctrl-C, which is the caller's
            raise raised

    def _run(self) -> None:
        with self._here:  # a `flush` that sends has begun before there was this thread; no other will
            pass
        with self._lock:
            if self._worker.current:
                for pending in self._sources.values():
                    pending.take_over()
        while (due := self._next_due()) is not None:
            self._attempt(due, self._timeout)

    def _next_due(self) -> Pending[S] | None:
        """Wait until a source is due, and begin its attempt; None, which ends the thread, if none will be."""
        while True:
            with self._lock:
                if not self._worker.current:
                    return None
                each = self._sources.values()
                pending = min(each, key=lambda one: (not one.urgent, one.due), default=None)
                if pending is None or (pending.due == math.inf and not pending.urgent):
                    self._worker.leave()
                    return None
                wait = pending.due - time.monotonic()
                if pending.urgent or wait <= 0:
                    self._begin(pending)
                    return pending
            with contextlib.suppress(queue.Empty):
                self._bell.get(timeout=min(wait, HEARTBEAT))

    def _ring(self) -> None:
        """Wake the thread; this takes half the time of notifying a condition."""
        if self._bell.empty():
            self._bell.put(None)

    def _begin(self, pending: Pending[S]) -> None:
        pending.urgent, pending.due, pending.begun_at = False, math.inf, time.monotonic()
        pending.sending = pending.version
        self._page_is_made = False

    def _attempt(self, pending: Pending[S], timeout: float) -> BaseException | None:
        """Send, and handle the result. Returns what was raised, instead of raising it: the thread must go on."""
        source, error, raised, began = pending.source, None, None, time.monotonic()
        try:
            self._send(source, timeout)
        except DeliveryError as failure:
            error = failure
        except BaseException as unknown:  # noqa: BLE001  without the thread nothing would be sent
            error, raised = DeliveryError(f"pushing failed: {describe(unknown)}", "internal"), unknown
        try:
            self._on_delivery(source, Delivery(self._to, time.monotonic() - began, error))
        except BaseException as unknown:  # noqa: BLE001  such as the SystemExit of a handler of the log
            raised = unknown
        self._finish(pending, error)
        return raised

    def _finish(self, pending: Pending[S], error: DeliveryError | None) -> None:
        """Store the result of an attempt, and set when the next one is due."""
        with self._lock:
            version, pending.sending = pending.sending or 0, None
            now = time.monotonic()
            settled_at = self._settled_at(pending, error, now)
            pending.error = error
            delay = None if error is None else retry_delay(error, pending.failures + 1)
            if delay is not None:
                pending.failures += 1
                pending.due = now + delay
            else:
                pending.settled, pending.failures = version, 0
                if settled_at is not None and pending.version == version:
                    pending.version, pending.due = version + 1, settled_at
                elif pending.version > version:  # `wake` was called meanwhile, and has set when it is due
                    pending.due = min(pending.due, now + HEARTBEAT) if pending.due < math.inf else now
                elif pending.source.running:
                    pending.urgent, pending.due = False, now + HEARTBEAT
                elif error is None and self._sources.get(pending.source) is pending:
                    del self._sources[pending.source]
            pending.answer(version, error)
            self._changed.notify_all()

    def _settled_at(self, pending: Pending[S], error: DeliveryError | None, now: float) -> float | None:
        """Return when the newest page has to be sent once more: a page whose push timed out may arrive until then."""
        key = self._to, pending.source.group
        if error is not None:
            if error.reason == "timeout":
                self._late[key] = math.inf  # it may wait for the server to go on
            return None
        until = min(self._late.get(key, -math.inf), now + SETTLING)
        if pending.begun_at >= until:
            self._late.pop(key, None)
            return None
        self._late[key] = until
        return until
