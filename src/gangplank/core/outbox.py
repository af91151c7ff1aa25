"""The one thread that sends: woken, retried with a backoff, beating while a run is open, flushed within a bound."""

from __future__ import annotations

import contextlib
import math
import queue
import random
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from gangplank.core.errors import DeliveryError

FIRST_BACKOFF, LONGEST_BACKOFF = 0.2, 60.0
HEARTBEAT = 60.0
# After a push that timed out, how long its page may still be on its way.
SETTLING = 1.0
# Of our own: a draw from the shared generator would change what a seeded training draws after it.
_JITTER = random.Random()  # noqa: S311  jitter, no secret


class Source(Protocol):
    """What has something newest to send."""

    @property
    def group(self) -> Hashable:
        """Two sources of one group replace each other: only the newer one is sent."""

    @property
    def running(self) -> bool:
        """Whether to send it again every `HEARTBEAT` seconds, with nothing new."""

    def check(self) -> None:
        """Look whether it still runs; called before it is sent with nothing new."""


S = TypeVar("S", bound=Source)


@dataclass(eq=False, slots=True)
class _Parcel(Generic[S]):
    """One group's newest source, and when it is sent next.

    Attributes:
        due: when to send next, on the monotonic clock.
        begun_at: when the newest attempt began.
        version: counts what was put in; `sending` is the one on its way, `delivered` the newest that arrived.
        attempts, failed: how many attempts were begun; the number of the newest one that failed.
        failures: failed attempts since the last success.
        urgent: a flush asks for an attempt now, whatever the backoff says.
        error: why the newest failed attempt failed.
    """

    source: S
    due: float = math.inf
    begun_at: float = -math.inf
    version: int = 0
    sending: int | None = None
    delivered: int = 0
    attempts: int = 0
    failed: int = 0
    failures: int = 0
    urgent: bool = False
    error: DeliveryError | None = None


class Outbox(Generic[S]):
    """Sends the newest of each group, off the caller's thread.

    Only the newest matters, so there is a dirty flag and no queue. The thread starts with the first `wake` and ends
    when no source is running and nothing is pending. Where none can start, because the interpreter shuts down, `flush`
    sends.

    Args:
        send: sends a source's newest within so many seconds; raises DeliveryError where it did not arrive.
        to: the destination, for messages.
        timeout: seconds that one push may take.
        push_interval: seconds between two pushes of a group that nobody waits for.
    """

    def __init__(self, send: Callable[[S, float], None], *, to: str, timeout: float, push_interval: float) -> None:
        self._send = send
        self._to = to
        self._timeout = timeout
        self._push_interval = push_interval
        self._changed = threading.Condition(threading.RLock())
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._parcels: dict[Hashable, _Parcel[S]] = {}
        self._thread: threading.Thread | None = None

    def wake(self, source: S, *, at_once: bool = True) -> None:
        """Have the source's newest sent: at once, or when `push_interval` has passed since the last push.

        Returns at once. A failing group keeps to its backoff.
        """
        with self._changed:
            parcel = self._parcels.get(source.group)
            if parcel is None:
                parcel = self._parcels[source.group] = _Parcel(source)
            parcel.source = source
            parcel.version += 1
            if not parcel.failures:
                soonest = time.monotonic() if at_once else parcel.begun_at + self._push_interval
                parcel.due = min(parcel.due, soonest)
            self._ring()
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="gangplank-outbox", daemon=True)
                with contextlib.suppress(RuntimeError):  # the interpreter shuts down
                    thread.start()
                    self._thread = thread

    def flush(self, group: Hashable, timeout: float) -> DeliveryError | None:
        """Wait until what the group holds now has arrived, or the next attempt has failed.

        Returns None, or why it did not arrive within the timeout (seconds). It is tried again later all the same.
        """
        end = time.monotonic() + timeout
        with self._changed:
            parcel = self._parcels.get(group)
            if parcel is None or self._thread is threading.current_thread():
                return None  # all has arrived; or who asks is the one to send
            if self._thread is None:
                self._begin(parcel)
            else:
                return self._await(parcel, end) if self._hurry(parcel) else None
        self._finish(parcel, self._attempt(parcel.source, min(timeout, self._timeout)))
        return parcel.error

    def hurry(self) -> None:
        """Try to send all that has not arrived at once, whatever the backoff says."""
        with self._changed:
            for parcel in self._parcels.values():
                self._hurry(parcel)

    def undelivered(self) -> list[Hashable]:
        """Return the groups whose newest has not arrived."""
        with self._changed:
            return [group for group, parcel in self._parcels.items() if parcel.delivered < parcel.version]

    def _hurry(self, parcel: _Parcel[S]) -> bool:
        """Have the parcel sent now, unless its newest is on its way; returns whether there is anything to wait for."""
        if parcel.delivered < parcel.version != parcel.sending:
            parcel.urgent = True
            self._ring()
        return parcel.delivered < parcel.version

    def _await(self, parcel: _Parcel[S], end: float) -> DeliveryError | None:
        version = parcel.version
        # An attempt under way with this very version is the one to wait for.
        earlier = parcel.attempts - (parcel.sending == version)
        timeout = max(0.0, end - time.monotonic())
        while parcel.delivered < version:
            if parcel.failed > earlier:
                return parcel.error
            remaining = end - time.monotonic()
            if remaining <= 0:
                return DeliveryError(f"{self._to} took nothing within {timeout:.1f} s", "timeout")
            self._changed.wait(min(remaining, HEARTBEAT))
        return None

    def _run(self) -> None:
        while (parcel := self._next_due()) is not None:
            # With nothing new it only shows that it lives, if it does.
            beats = parcel.sending == parcel.delivered
            self._finish(parcel, self._attempt(parcel.source, self._timeout, beats=beats))

    def _next_due(self) -> _Parcel[S] | None:
        """Wait for the next parcel to send, and begin it; None, and the thread is over, where nothing is to come."""
        while True:
            with self._changed:
                if not self._parcels:
                    self._thread = None
                    return None
                parcel = min(self._parcels.values(), key=lambda parcel: (not parcel.urgent, parcel.due))
                wait = parcel.due - time.monotonic()
                if parcel.urgent or wait <= 0:
                    self._begin(parcel)
                    return parcel
            with contextlib.suppress(queue.Empty):
                self._bell.get(timeout=min(wait, HEARTBEAT))

    def _ring(self) -> None:
        """Have the thread look what is due; takes half the time that notifying a condition would."""
        if self._bell.empty():
            self._bell.put(None)

    def _begin(self, parcel: _Parcel[S]) -> None:
        parcel.urgent, parcel.due, parcel.begun_at = False, math.inf, time.monotonic()
        parcel.sending = parcel.version
        parcel.attempts += 1

    def _attempt(self, source: S, timeout: float, *, beats: bool = False) -> DeliveryError | None:
        try:
            if beats:
                source.check()
            self._send(source, timeout)
        except DeliveryError as error:
            return error
        except BaseException as error:  # noqa: BLE001  a thread that died would send nothing any more
            return DeliveryError(f"{type(error).__name__}: {error}", "internal")
        return None

    def _finish(self, parcel: _Parcel[S], error: DeliveryError | None) -> None:
        """Note how an attempt ended, and when the next one is due."""
        with self._changed:
            version, parcel.sending = parcel.sending or 0, None
            # What was given up may still arrive, and after what is newer: then the newest has to go once more.
            overtaken = error is None and parcel.error is not None and parcel.error.reason == "timeout"
            parcel.error = error
            now = time.monotonic()
            if error is not None:
                parcel.failed = parcel.attempts
                parcel.failures += 1
                backoff = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** min(parcel.failures - 1, 30))
                parcel.due = now + backoff * _JITTER.uniform(0.5, 1.0)
            else:
                parcel.delivered, parcel.failures = version, 0
                if overtaken and parcel.version == version:
                    parcel.version, parcel.due = version + 1, now + SETTLING
                elif parcel.version > version:  # woken meanwhile, which set when
                    parcel.due = parcel.due if parcel.due < math.inf else now
                elif parcel.source.running:
                    parcel.urgent, parcel.due = False, now + HEARTBEAT
                else:
                    del self._parcels[parcel.source.group]
            self._changed.notify_all()
