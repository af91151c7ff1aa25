"""How an exporter's pages travel: its sink, with the outbox in front of it."""

from __future__ import annotations

import time
import weakref
from collections.abc import Hashable

from gangplank.core import process
from gangplank.core.errors import DeliveryError
from gangplank.core.ledger import Ledger
from gangplank.core.outbox import Outbox
from gangplank.core.report import Report, shown
from gangplank.core.sinks import Sink
from gangplank.core.snapshot import Group

# In this process, whatever exporter they are of: the newest run of each group of a destination, and the destinations
# that nobody waits for until a push has arrived.
_newest: weakref.WeakValueDictionary[tuple[str, Group], Ledger] = weakref.WeakValueDictionary()
_not_waited_for: set[str] = set()


class Delivery:
    """One per exporter; its runs share it.

    Args:
        sink: where the pages go.
        report: where failures are reported.
        push_interval: seconds between two pushes that nobody waits for.
        timeout: seconds that a push may take in all.
        flush_timeout: seconds that the end of a run waits for its last page to arrive.
        awaited: wait for every push that goes at once, and raise where one fails.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        report: Report,
        push_interval: float,
        timeout: float,
        flush_timeout: float,
        awaited: bool,
    ) -> None:
        self._sink = sink
        self._to = str(sink)
        self._report = report
        self._push_interval = push_interval
        self._timeout = timeout
        self.flush_timeout = flush_timeout
        self._awaited = awaited
        self.renew()
        process.this.senders.add(self)

    def renew(self) -> None:
        """Begin with nothing to send: at construction, and in a forked child, where what is there is the parent's."""
        self._failing = False
        self._report.renew()
        self._outbox: Outbox[Ledger] = Outbox(
            self._send, to=self._to, timeout=self._timeout, push_interval=self._push_interval
        )

    def begin(self, ledger: Ledger) -> None:
        """Have the first page of a run sent; it takes the place of an earlier run that has not arrived."""
        _newest[self._to, ledger.group] = ledger
        self.push(ledger)

    def push(self, ledger: Ledger, *, at_once: bool = True) -> None:
        """Have a run's newest page sent, at once or by `push_interval`; returns at once, unless pushes are awaited.

        Raises:
            DeliveryError: the push is awaited and did not arrive.
        """
        self._outbox.wake(ledger, at_once=at_once)
        if self._awaited and at_once:
            # The sink keeps to its deadline; the second more is for a thread that gets no processor.
            error = self._outbox.flush(ledger.group, self._timeout + 1.0)
            if error is not None:
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
        self._outbox.wake(ledger)
        if (
            self._to not in _not_waited_for
            and not process.this.ends
            and not self._flush(ledger.group, self.flush_timeout)
        ):
            _not_waited_for.add(self._to)

    def hurry(self) -> None:
        """Try now to send what has not arrived."""
        self._outbox.hurry()

    def flush_until(self, end: float) -> None:
        """Wait for it to arrive, up to a moment of the monotonic clock."""
        for group in self._outbox.undelivered():
            self._flush(group, max(0.0, end - time.monotonic()))

    def _flush(self, group: Hashable, timeout: float) -> bool:
        """Wait for a group's page to arrive; returns whether it did. What never comes back shows here at the latest."""
        error = self._outbox.flush(group, timeout)
        if error is not None and error.reason == "timeout":
            self._report.trouble("unfinished", "Metrics of %s have not arrived yet: %s", group, error)
        return error is None

    def _send(self, ledger: Ledger, timeout: float) -> None:
        """Send a run's newest page; called on the outbox' thread."""
        if not ledger.running and _newest.get((self._to, ledger.group)) is not ledger:
            return  # a newer run has taken its place there: what is late must not overwrite it
        try:
            self._sink.send(ledger.page(), timeout)
        except DeliveryError as failure:
            self._failed(ledger, failure)
            raise
        except BaseException as error:
            fault = DeliveryError(f"pushing failed: {type(error).__name__}: {shown(error)}", "internal")
            self._failed(ledger, fault)
            raise fault from error
        _not_waited_for.discard(self._to)
        if self._failing:
            self._failing = False
            self._report.recovered("Metrics of %s arrive again", ledger.group)

    def _failed(self, ledger: Ledger, failure: DeliveryError) -> None:
        self._failing = True
        ledger.count_failure(failure.reason)
        self._report.trouble(failure.reason, "Metrics of %s did not arrive, will retry: %s", ledger.group, failure)
