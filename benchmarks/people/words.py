"""What each run has said last, and so what the gateway may show of its group: the run that has said something last."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from gangplank import DeliveryError, Page
from gangplank.core.sinks.pushgateway import Pushgateway

Group = tuple[str, str]
"""The job and the phase."""

# Attempts to send that are kept, to explain a wrong value.
_MOST_SENT = 2_000


@dataclass(eq=False)
class Said:
    """What one run has said last.

    Attributes:
        group: of the run.
        name: the `run` label.
        loss: the newest one that was recorded.
        state: `running`, or how it ended.
        step: the newest one that was noted.
        since: when the newest call began that certainly put the run in place of the others of its group.
        until: when the newest call returned that did so, or may have.
        arrived: what arrived last, loss and state, and the Unix time of that.
    """

    group: Group
    name: str | None
    loss: float | None = None
    state: str = "running"
    step: int | None = None
    since: float = -math.inf
    until: float = -math.inf
    arrived: tuple[float | None, str, float] | None = None


@dataclass(frozen=True)
class Expected:
    """What the gateway may show of a group.

    Attributes:
        name: the `run` label.
        loss: None for none.
        state: as in `gangplank_run_state`.
        step: None for any.
        arrived: the Unix time when that arrived, None if it has not, or is sent again: a gateway that has lost its data
            since then need not show it.
    """

    name: str | None
    loss: float | None
    state: str
    step: int | None
    arrived: float | None


class Words:
    """What all runs of this process have said; any thread may note something."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a garbage collection may end a run, and so send
        self._said: dict[Group, list[Said]] = {}
        # By run: what has arrived last. The end of a run may arrive before it is noted that the run has said it.
        self._arrived: dict[tuple[Group, str | None], tuple[float | None, str, float]] = {}
        self.sent: deque[str] = deque(maxlen=_MOST_SENT)
        self.attempts: Counter[str] = Counter()

    def note(self, said: Said, began: float, *, surely: bool = True) -> None:
        """Note that a run has said something, in a call that began then (of the monotonic clock) and has returned.

        Args:
            said: by the run.
            began: when the call began.
            surely: whether the run is now shown in place of the others of its group, or only may be.
        """
        with self._lock:
            said.until = time.monotonic()
            said.arrived = self._arrived.get((said.group, said.name), said.arrived)
            if surely:
                said.since = began
            every = [*(one for one in self._said.get(said.group, []) if one is not said), said]
            self._said[said.group] = _newest(every)

    def expected(self) -> dict[Group, list[Expected]]:
        """Return what the gateway may show of each group: more than one if threads said something at the same time."""
        with self._lock:
            return {group: [_expected(said) for said in every] for group, every in self._said.items()}

    def note_sent(self, page: Page, began: float, result: str) -> None:
        """Note an attempt to send a page, and its result: "begun", then "arrived" or the reason why it did not."""
        self.attempts[result] += 1
        name, loss, group = page.labels.get("run"), loss_on(page), group_of(page)
        took = time.monotonic() - began
        self.sent.append(f"{began:.3f} + {took:.3f} s: {group} {name} {loss} {page.state}: {result}")
        with self._lock:
            if result != "arrived":
                return
            self._arrived[group, name] = arrived = loss, page.state, time.time()
            if len(self._arrived) > _MOST_SENT:
                del self._arrived[next(iter(self._arrived))]
            for said in self._said.get(group, []):
                if said.name == name:
                    said.arrived = arrived


def _newest(every: list[Said]) -> list[Said]:
    """Return those that may have said something last: calls that overlap may have come in any order."""
    return [one for one in every if all(one.until >= other.since for other in every if other is not one)]


def _expected(said: Said) -> Expected:
    loss, state, at = said.arrived or (None, "", 0.0)
    ended = said.state != "running"
    return Expected(
        name=said.name,
        loss=said.loss,
        state=said.state,
        step=said.step if ended else None,  # the steps of a run that goes on are pushed with its next ones
        arrived=at if ended and (loss, state) == (said.loss, said.state) else None,
    )


def group_of(page: Page) -> Group:
    """Return the group of a page."""
    labels = dict(page.group.labels)
    return labels["job"], labels["phase"]


def loss_on(page: Page) -> float | None:
    """Return the loss on a page."""
    return page.metrics["loss"][0] if "loss" in page.metrics else None


class Noted(Pushgateway):
    """A Pushgateway that notes what is sent to it; for `sink=`."""

    note: Callable[[Page, float, str], None]

    def send(self, page: Page, timeout: float) -> None:
        """Send the page."""
        began = time.monotonic()
        Noted.note(page, began, result := "begun")
        try:
            super().send(page, timeout)
            result = "arrived"
        except DeliveryError as error:
            result = error.reason
            raise
        finally:
            Noted.note(page, began, result)
