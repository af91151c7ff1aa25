"""Which of the runs of a group a destination shows: the one that has said something last."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gangplank.core.delivery.outbox import Outbox
from gangplank.core.errors import DeliveryError
from gangplank.core.lifecycle import process
from gangplank.core.page.latest import Latest


class Turns:
    """Decides which runs of one exporter are sent to a destination, among those of all exporters of this process.

    Args:
        to: the destination.
        outbox: sends to it, for this exporter.
    """

    def __init__(self, to: str, outbox: Outbox[Latest]) -> None:
        self._to = to
        self._outbox = outbox

    def overtake(self, latest: Latest) -> None:
        """Show this run from now on, until another one of its group says something."""
        other = self._take_turn(latest)
        # Outside of the lock: the outbox has its own.
        if other is not None and not other.running and not self._may_end(other):
            self._outbox.drop(other)

    def _take_turn(self, latest: Latest) -> Latest | None:
        """Note that this run is shown, and return the one that was before, if it is another one."""
        key = self._to, latest.group
        with process.taking_turns:
            other = process.shown.get(key)
            process.shown[key] = latest
            latest.overtaken_at.discard(self._to)
            self._note_newer(latest, process.on_their_way.get(key, ()))
            if not isinstance(other, Latest) or other is latest:
                return None
            other.overtaken_at.add(self._to)
            return other

    def wake(self, latest: Latest, *, at_once: bool) -> None:
        """Queue a run's newest page, unless another run of its group is shown."""
        if self._to in latest.overtaken_at and not latest.running and not self._may_end(latest):
            self._outbox.drop(latest)
        else:
            self._outbox.wake(latest, at_once=at_once)

    @contextlib.contextmanager
    def sending(self, latest: Latest) -> Iterator[bool]:
        """Enter to send a page, with whether it may replace those of the other runs of its group.

        If it may, a run that is shown since then is sent again at the end: this page may arrive after its own.
        """
        key, trip = (self._to, latest.group), _Trip(latest)
        with process.taking_turns:  # so that no page is on its way that another run does not know of
            is_shown = self._is_shown(latest)
            if is_shown:
                latest.sent_to.add(self._to)
                trips = process.on_their_way.setdefault(key, [])
                if process.shown.get(key) is latest:
                    self._note_newer(latest, trips)
                trips.append(trip)
        try:
            yield is_shown
        except DeliveryError as error:
            if error.reason == "timeout":
                process.late[key] = math.inf  # before the newer one is sent: the outbox notes it after that
            raise
        finally:
            if is_shown:
                with process.taking_turns:
                    process.on_their_way[key].remove(trip)
                    if not process.on_their_way[key]:
                        del process.on_their_way[key]
                if trip.newer is not None:
                    turns, newer = trip.newer
                    turns.wake(newer, at_once=True)

    def _note_newer(self, latest: Latest, trips: Iterable[_Trip]) -> None:
        for trip in trips:
            trip.newer = None if trip.latest is latest else (self, latest)

    def _is_shown(self, latest: Latest) -> bool:
        """Return whether a page of this run may replace those of the other runs of its group.

        A run that another has overtaken is shown again once the end of that one has been, if it certainly goes on: a
        heartbeat alone does not tell a run that goes on from one that was forgotten.
        """
        if self._to in latest.overtaken_at and latest.running and latest.watched:
            other = process.shown.get((self._to, latest.group))
            if not isinstance(other, Latest) or self._to in other.ended_at:
                self._take_turn(latest)
        return (self._to not in latest.overtaken_at or self._may_end(latest)) and not latest.left

    def _may_end(self, latest: Latest) -> bool:
        """Return whether the end of a run may be shown: no page of the run that has overtaken it has been sent yet."""
        newer = process.shown.get((self._to, latest.group))
        return not latest.running and (newer is latest or (isinstance(newer, Latest) and self._to not in newer.sent_to))


@dataclass(eq=False)
class _Trip:
    """A page that is being sent.

    Attributes:
        latest: whose page it is.
        newer: the run that is shown since then, if it is another one. It is kept alive here.
    """

    latest: Latest
    newer: tuple[Turns, Latest] | None = None
