"""What a source has pending: when it is sent next, and who waits for it."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from gangplank.core.errors import DeliveryError


class Source(Protocol):
    """A source of pages, of which only the newest is sent."""

    @property
    def group(self) -> Hashable:
        """The group whose page it replaces."""

    @property
    def running(self) -> bool:
        """Whether to send it every `HEARTBEAT` seconds even if it has not changed."""


S = TypeVar("S", bound=Source)


@dataclass(eq=False, slots=True)
class Answer:
    """What a `flush` waits for. It is no Future, because Ctrl-C inside one may leave its condition locked.

    Attributes:
        version: the version that has to be sent, or a newer one.
        given: whether the attempt has ended.
        error: of the attempt, None if it succeeded.
    """

    version: int
    given: bool = False
    error: DeliveryError | None = None


@dataclass(eq=False, slots=True)
class Pending(Generic[S]):
    """A source, and when it is sent next.

    Attributes:
        due: when to send next, on the monotonic clock.
        begun_at: when the newest attempt began.
        version: how often it was woken.
        sending: the version that is being sent, None if none is.
        settled: the newest version that arrived, or that is not sent again until it changes.
        failures: failed attempts since the last success.
        urgent: a flush asks for an attempt now, whatever the backoff.
        error: of the newest attempt, None if it succeeded.
        waiting: the answers that a `flush` waits for.
    """

    source: S
    due: float = math.inf
    begun_at: float = -math.inf
    version: int = 0
    sending: int | None = None
    settled: int = 0
    failures: int = 0
    urgent: bool = False
    error: DeliveryError | None = None
    waiting: list[Answer] = field(default_factory=list)

    def answer(self, version: int, error: DeliveryError | None) -> None:
        """Answer those who wait for this version, or an older one."""
        for one in self.waiting:
            if one.version <= version:
                one.error, one.given = error, True
        self.waiting = [one for one in self.waiting if not one.given]

    def take_over(self) -> None:
        """Make it due, if it was left behind: the thread that was to send it has died."""
        self.sending = None
        if self.due == math.inf and (self.settled < self.version or self.waiting or self.source.running):
            self.due = time.monotonic()
