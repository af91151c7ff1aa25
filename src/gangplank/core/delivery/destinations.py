"""The destinations of one exporter: its sinks, each with an outbox in front of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from gangplank.core.delivery.opening import OpenSink
from gangplank.core.delivery.outbox import Outbox
from gangplank.core.delivery.turns import Turns
from gangplank.core.lifecycle import process
from gangplank.core.log import Log, one_line
from gangplank.core.page.latest import Latest
from gangplank.core.page.page import RUNNING, Page
from gangplank.core.types import Delivery


class Destinations:
    """The destinations of one exporter, which its runs share. No destination delays another.

    Args:
        opened: the sinks.
        log: reports failures.
        flush_timeout: seconds that the end of a run waits for its last page to arrive.
        awaited: wait for each push that is sent at once, and raise if it fails.
        on_delivery: called after each attempt to send, on the thread that sends.
    """

    def __init__(
        self,
        opened: Sequence[OpenSink],
        *,
        log: Log,
        flush_timeout: float,
        awaited: bool,
        on_delivery: Callable[[Latest, Delivery], None],
    ) -> None:
        self._each = [_Pusher(one, log=log, on_delivery=on_delivery) for one in opened]
        self._log = log
        self.flush_timeout = flush_timeout
        self._awaited = awaited
        process.senders.add(self)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses, without credentials."""
        return tuple(str(one.sink) for one in self._each)

    @property
    def labels(self) -> tuple[str, ...]:
        """The addresses as labels: on one line, and as they were at construction."""
        return tuple(one.to for one in self._each)

    def reset(self) -> None:
        """Discard everything that is pending: in a forked child, it is the parent's."""
        self._log.reset()
        for one in self._each:
            one.reset()

    def is_due(self, latest: Latest) -> bool:
        """Return whether a page that may wait would be sent now, to any destination."""
        return any(one.outbox.is_due(latest) for one in self._each)

    def wake(self, latest: Latest, *, at_once: bool = True) -> None:
        """Queue a run's newest page, to be sent at once or at the push interval; returns at once."""
        for one in self._each:
            one.turns.wake(latest, at_once=at_once)

    def push(self, latest: Latest, *, at_once: bool = True) -> None:
        """Queue a run's newest page, to be sent at once or at the push interval; waits for it if pushes are awaited.

        From now on, it is shown in place of the other runs of its group.

        Raises:
            DeliveryError: the push is awaited and failed; the first error of several.
        """
        self._overtake(latest)
        self.wake(latest, at_once=at_once)
        if self._awaited and at_once:
            self._await(latest)

    def push_last(self, latest: Latest, *, raises: bool, lost: bool = False) -> None:
        """Send a run's last page, and wait for it to arrive, up to `flush_timeout`.

        After a wait that timed out or failed, later runs do not wait for that destination until a push has arrived
        there. When the process exits, it waits for all runs together. Nobody waits for a run that is lost. Its page
        replaces no other, nor does that of a run that may have been over for long.

        Raises:
            DeliveryError: pushes are awaited, this one failed, and `raises` is true.
        """
        if latest.watched and not lost:
            self._overtake(latest)
        self.wake(latest)
        if self._awaited and raises:
            self._await(latest)
        elif not process.exiting and not lost:
            self.retry_now()  # to all destinations, before waiting for the first
            end = time.monotonic() + self.flush_timeout
            for one in self._each:
                if one.to not in process.not_waited_for and not one.flush(latest, end):
                    process.not_waited_for.add(one.to)

    def _overtake(self, latest: Latest) -> None:
        for one in self._each:
            one.turns.overtake(latest)

    def _await(self, latest: Latest) -> None:
        """Wait for a run's page to arrive; raise the first error of several."""
        # The sinks keep to their deadlines; the extra second is for a busy machine.
        end = time.monotonic() + max((one.timeout for one in self._each), default=0.0) + 1.0
        errors = [one.outbox.flush(latest, max(0.0, end - time.monotonic())) for one in self._each]
        for error in filter(None, errors):
            raise error

    def retry_now(self) -> None:
        """Send what is pending now, without waiting for the backoff."""
        for one in self._each:
            one.outbox.retry_now()

    def flush(self, end: float) -> None:
        """Wait until nothing is pending, at most until `end` (of the monotonic clock)."""
        for one in self._each:
            for latest in one.outbox.undelivered():
                one.flush(latest, end)

    def abandon(self) -> None:
        """Discard everything that is pending."""
        for one in self._each:
            one.outbox.abandon()

    def close(self) -> None:
        """Close the sinks."""
        for one in self._each:
            one.sink.close()


class _Pusher:
    """A sink with its outbox; the other arguments are those of `Destinations`."""

    def __init__(
        self,
        opened: OpenSink,
        *,
        log: Log,
        on_delivery: Callable[[Latest, Delivery], None],
    ) -> None:
        self.sink = opened.sink
        self.timeout = opened.timeout
        self.to = one_line(opened.sink)
        self._push_interval = opened.push_interval
        self._log = log
        self._on_delivery = on_delivery
        self.reset()

    def reset(self) -> None:
        """Discard everything that is pending."""
        self._failing = False
        self._page: Page | None = None  # what the attempt that has begun sends; None if it sends nothing
        self.outbox: Outbox[Latest] = Outbox(
            self._send,
            to=self.to,
            timeout=self.timeout,
            push_interval=self._push_interval,
            on_delivery=self._note,
            late=process.late,
        )
        self.turns = Turns(self.to, self.outbox)

    def flush(self, latest: Latest, end: float) -> bool:
        """Wait for a run's page to arrive; return whether it did. A push that does not return is logged here."""
        error = self.outbox.flush(latest, max(0.0, end - time.monotonic()))
        if error is not None and error.reason == "timeout":
            message = "Metrics of %s have not arrived yet: %s"
            self._log.warn_throttled(f"unfinished {self.to}", message, latest.group, error)
        return error is None

    def _send(self, latest: Latest, timeout: float) -> None:
        """Send a run's newest page, unless another run of its group is shown."""
        latest.end_if_lost()
        with self.turns.sending(latest) as is_shown:
            page = latest.page()  # even if it is not sent: what the run has said is no news at the next heartbeat
            self._page = page if is_shown else None
            if is_shown:
                self.outbox.page_is_made()
                self.sink.send(page, timeout)
        if not is_shown and (latest.left or not latest.watched):
            self.outbox.drop_if_unchanged(latest)  # until it says something: it may be about to say its last word

    def _note(self, latest: Latest, delivery: Delivery) -> None:
        """Count, report and log the result of an attempt."""
        with self._log.guard("noting a delivery", raises=False):
            if self._page is None:
                return
            error = delivery.error
            if self._page.state != RUNNING and (error is None or not error.retry):
                latest.ended_at.add(self.to)
            if error is not None:
                latest.count_failure(self.to, error.reason)
            else:
                process.not_waited_for.discard(self.to)
            self._on_delivery(latest, delivery)
            if error is not None:
                self._failing = True
                then = "will retry" if error.retry else "will be sent again when they have changed"
                cause = f"{error.reason} {self.to}"
                self._log.warn_throttled(cause, f"Metrics of %s did not arrive, {then}: %s", latest.group, error)
            elif self._failing:
                self._failing = False
                self._log.recovered("Metrics of %s arrive again", latest.group)
