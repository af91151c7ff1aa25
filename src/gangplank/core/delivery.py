"""How an exporter's pages travel: its sinks, each with an outbox in front of it."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Hashable, Iterable

from gangplank.core import process
from gangplank.core.errors import DeliveryError
from gangplank.core.ledger import Ledger
from gangplank.core.outbox import Outbox
from gangplank.core.report import Report, shown
from gangplank.core.sinks import Sink
from gangplank.core.snapshot import Delivery, Group, RunView

# In this process, whatever exporter they are of: the newest run of each group of a destination, and the destinations
# that nobody waits for until a push has arrived.
_newest: weakref.WeakValueDictionary[tuple[str, Group], Ledger] = weakref.WeakValueDictionary()
_not_waited_for: set[str] = set()


class Destinations:
    """Where the pages of one exporter go; its runs share it. No destination holds up another.

    Args:
        sinks: one for each destination.
        report: where failures are reported.
        push_interval: seconds between two pushes that nobody waits for.
        timeout: seconds that a push may take in all.
        flush_timeout: seconds that the end of a run waits for its last page to arrive.
        awaited: wait for every push that goes at once, and raise where one fails.
        tell: is told how each attempt to send ended, on the thread that sends.
    """

    def __init__(
        self,
        sinks: Iterable[Sink],
        *,
        report: Report,
        push_interval: float,
        timeout: float,
        flush_timeout: float,
        awaited: bool,
        tell: Callable[[RunView, Delivery], None],
    ) -> None:
        self._each = [
            Destination(sink, report=report, push_interval=push_interval, timeout=timeout, tell=tell) for sink in sinks
        ]
        self._report = report
        self._timeout = timeout
        self.flush_timeout = flush_timeout
        self._awaited = awaited
        process.this.senders.add(self)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where they are, without credentials."""
        return tuple(str(one.sink) for one in self._each)

    def renew(self) -> None:
        """Begin with nothing to send: in a forked child, where what is there is the parent's."""
        self._report.renew()
        for one in self._each:
            one.renew()

    def begin(self, ledger: Ledger) -> None:
        """Have the first page of a run sent; it takes the place of an earlier run that has not arrived."""
        for one in self._each:
            one.begin(ledger)
        self.push(ledger)

    def wake(self, ledger: Ledger, *, at_once: bool = True) -> None:
        """Have a run's newest page sent, at once or by `push_interval`; returns at once."""
        for one in self._each:
            one.outbox.wake(ledger, at_once=at_once)

    def push(self, ledger: Ledger, *, at_once: bool = True) -> None:
        """Have a run's newest page sent, at once or by `push_interval`; returns at once, unless pushes are awaited.

        Raises:
            DeliveryError: the push is awaited and did not arrive; the first of several.
        """
        self.wake(ledger, at_once=at_once)
        if self._awaited and at_once:
            # The sinks keep to their deadline; the second more is for a thread that gets no processor.
            end = time.monotonic() + self._timeout + 1.0
            errors = [one.outbox.flush(ledger.group, max(0.0, end - time.monotonic())) for one in self._each]
            for error in filter(None, errors):
                raise error

    def push_last(self, ledger: Ledger, *, raises: bool) -> None:
        """Have a run's last page sent, and wait for it to arrive, up to `flush_timeout`.

        Once that was in vain, later runs to this destination do not wait until a push has arrived. When the process
        ends, it waits for all runs together.

        Raises:
            DeliveryError: pushes are awaited, this one did not arrive, and `raises`.
        """
        if self._awaited and raises:
            self.push(ledger)
            return
        self.wake(ledger)
        if not process.this.ends:
            self.hurry()  # all at once, before the first is waited for
            end = time.monotonic() + self.flush_timeout
            for one in self._each:
                one.flush_last(ledger.group, end)

    def hurry(self) -> None:
        """Try now to send what has not arrived."""
        for one in self._each:
            one.outbox.hurry()

    def flush_until(self, end: float) -> None:
        """Wait for it to arrive, up to a moment of the monotonic clock."""
        for one in self._each:
            for group in one.outbox.undelivered():
                one.flush(group, end)

    def close(self) -> None:
        """Let go of what the sinks hold open."""
        for one in self._each:
            one.sink.close()


class Destination:
    """A sink with the outbox in front of it; the arguments are those of `Destinations`."""

    def __init__(
        self,
        sink: Sink,
        *,
        report: Report,
        push_interval: float,
        timeout: float,
        tell: Callable[[RunView, Delivery], None],
    ) -> None:
        self.sink = sink
        self._to = str(sink)
        self._report = report
        self._push_interval = push_interval
        self._timeout = timeout
        self._tell = tell
        self.renew()

    def renew(self) -> None:
        """Begin with nothing to send."""
        self._failing = False
        self.outbox: Outbox[Ledger] = Outbox(
            self._send, to=self._to, timeout=self._timeout, push_interval=self._push_interval
        )

    def begin(self, ledger: Ledger) -> None:
        """Note that a run takes the place of an earlier one of its group."""
        _newest[self._to, ledger.group] = ledger

    def flush_last(self, group: Hashable, end: float) -> None:
        """Wait for a run's last page, unless it was in vain the last time."""
        if self._to not in _not_waited_for and not self.flush(group, end):
            _not_waited_for.add(self._to)

    def flush(self, group: Hashable, end: float) -> bool:
        """Wait for a group's page to arrive; returns whether it did. What never comes back shows here at the latest."""
        error = self.outbox.flush(group, max(0.0, end - time.monotonic()))
        if error is not None and error.reason == "timeout":
            self._report.trouble(f"unfinished {self._to}", "Metrics of %s have not arrived yet: %s", group, error)
        return error is None

    def _send(self, ledger: Ledger, timeout: float) -> None:
        """Send a run's newest page; called on the outbox' thread."""
        if not ledger.running and _newest.get((self._to, ledger.group)) is not ledger:
            return  # a newer run has taken its place there: what is late must not overwrite it
        began = time.monotonic()
        try:
            self.sink.send(ledger.page(), timeout)
        except DeliveryError as failure:
            self._failed(ledger, failure, began)
            raise
        except BaseException as error:
            fault = DeliveryError(f"pushing failed: {type(error).__name__}: {shown(error)}", "internal")
            self._failed(ledger, fault, began)
            raise fault from error
        _not_waited_for.discard(self._to)
        self._tell(ledger, Delivery(self._to, time.monotonic() - began))
        if self._failing:
            self._failing = False
            self._report.recovered("Metrics of %s arrive again", ledger.group)

    def _failed(self, ledger: Ledger, failure: DeliveryError, began: float) -> None:
        self._failing = True
        ledger.count_failure(failure.reason)
        self._tell(ledger, Delivery(self._to, time.monotonic() - began, failure))
        self._report.trouble(
            f"{failure.reason} {self._to}", "Metrics of %s did not arrive, will retry: %s", ledger.group, failure
        )
