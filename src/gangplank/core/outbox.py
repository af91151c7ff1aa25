"""The one thread that sends: woken, retried with a backoff, beating while a run is open, flushed within a bound."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from gangplank.core.errors import DeliveryError

FIRST_BACKOFF, LONGEST_BACKOFF = 0.2, 60.0
HEARTBEAT = 60.0
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
    when no source is running and nothing is pending.

    Args:
        send: sends a source's newest, within a deadline of its own; raises DeliveryError where it did not arrive.
        to: the destination, for messages.
        push_interval: seconds between two pushes of a group that nobody waits for.
    """

    def __init__(self, send: Callable[[S], None], *, to: str, push_interval: float) -> None:
        self._send = send
        self._to = to
        self._push_interval = push_interval
        self._changed = threading.Condition(threading.RLock())
        self._parcels: dict[Hashable, _Parcel[S]] = {}
        self._thread: threading.Thread | None = None

    def wake(self, source: S, *, at_once: bool = True) -> None:
        """Have the source's newest sent: at once, or when `push_interval` has passed since the last push.

        Returns at once. A failing group keeps to its backoff.
        """
        with self._changed:
            parcel = self._parcels.setdefault(source.group, _Parcel(source))
            parcel.source = source
            parcel.version += 1
            if not parcel.failures:
                soonest = time.monotonic() if at_once else parcel.begun_at + self._push_interval
                parcel.due = min(parcel.due, soonest)
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="gangplank-outbox", daemon=True)
                self._thread.start()

    def flush(self, group: Hashable, timeout: float) -> DeliveryError | None:
        """Wait until what the group holds now has arrived, or the next attempt has failed.

        Returns None, or why it did not arrive within the timeout (seconds). It is tried again later all the same.
        """
        end = time.monotonic() + timeout
        with self._changed:
            parcel = self._parcels.get(group)
            if parcel is None:
                return None
            version, earlier = parcel.version, parcel.attempts
            if parcel.sending == version:
                earlier -= 1  # the attempt under way is the one to wait for
            elif parcel.delivered < version:
                parcel.urgent = True
                self._changed.notify_all()
            while parcel.delivered < version:
                if parcel.failed > earlier:
                    return parcel.error
                remaining = end - time.monotonic()
                if remaining <= 0:
                    return DeliveryError(f"{self._to} took nothing within {timeout:g} s", "timeout")
                self._changed.wait(remaining)
            return None

    def _run(self) -> None:
        while (parcel := self._next_due()) is not None:
            error = self._attempt(parcel.source)
            with self._changed:
                self._settle(parcel, error)
                self._changed.notify_all()

    def _next_due(self) -> _Parcel[S] | None:
        """Wait for the next parcel to send; None, and the thread is over, where there is none to wait for."""
        with self._changed:
            while self._parcels:
                parcel = min(self._parcels.values(), key=lambda parcel: (not parcel.urgent, parcel.due))
                now = time.monotonic()
                if parcel.urgent or parcel.due <= now:
                    parcel.urgent, parcel.due, parcel.begun_at = False, math.inf, now
                    parcel.sending = parcel.version
                    parcel.attempts += 1
                    return parcel
                self._changed.wait(parcel.due - now)
            self._thread = None
            return None

    def _attempt(self, source: S) -> DeliveryError | None:
        try:
            self._send(source)
        except DeliveryError as error:
            return error
        except BaseException as error:  # noqa: BLE001  a thread that died would send nothing any more
            return DeliveryError(f"{type(error).__name__}: {error}", "internal")
        return None

    def _settle(self, parcel: _Parcel[S], error: DeliveryError | None) -> None:
        version, parcel.sending = parcel.sending, None
        now = time.monotonic()
        if error is not None:
            parcel.error, parcel.failed = error, parcel.attempts
            parcel.failures += 1
            backoff = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** min(parcel.failures - 1, 30))
            parcel.due = now + backoff * _JITTER.uniform(0.5, 1.0)
            return
        parcel.delivered, parcel.failures = version or 0, 0
        if parcel.version > parcel.delivered:  # woken meanwhile, which set when
            parcel.due = max(now, parcel.due) if parcel.due < math.inf else now
        elif parcel.source.running:
            parcel.urgent, parcel.due = False, now + HEARTBEAT
        else:
            del self._parcels[parcel.source.group]
