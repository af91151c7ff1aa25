"""How an exporter's pages travel: its sink, with the outbox in front of it."""

from __future__ import annotations

import time

from gangplank.core import process
from gangplank.core.errors import DeliveryError
from gangplank.core.ledger import Ledger
from gangplank.core.outbox import Outbox
from gangplank.core.report import Report, shown
from gangplank.core.sinks import Sink


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
        self._gave_up_waiting = False
        self._report.renew()
        self._outbox: Outbox[Ledger] = Outbox(
            self._send, to=str(self._sink), timeout=self._timeout, push_interval=self._push_interval
        )

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

    def push_last(self, ledger: Ledger) -> None:
        """Have a run's last page sent, and wait for it to arrive, up to `flush_timeout`.

        Once that was in vain, later runs do not wait until a push has arrived. When the process ends, it waits for all
        runs together.
        """
        self._outbox.wake(ledger)
        if not self._gave_up_waiting and not process.this.ends:
            self._gave_up_waiting = self._outbox.flush(ledger.group, self.flush_timeout) is not None

    def hurry(self) -> None:
        """Try now to send what has not arrived."""
        self._outbox.hurry()

    def flush_until(self, end: float) -> None:
        """Wait for it to arrive, up to a moment of the monotonic clock."""
        for group in self._outbox.undelivered():
            self._outbox.flush(group, max(0.0, end - time.monotonic()))

    def _send(self, ledger: Ledger, timeout: float) -> None:
        """Send a run's newest page; called on the outbox' thread."""
        try:
            self._sink.send(ledger.page(), timeout)
        except Exception as error:
            failure = (
                error
                if isinstance(error, DeliveryError)
                else DeliveryError(f"pushing failed: {type(error).__name__}: {shown(error)}", "internal")
            )
            ledger.count_failure(failure.reason)
            self._failing = True
            self._report.trouble(failure.reason, "Metrics of %s did not arrive, will retry: %s", ledger.group, failure)
            raise failure from error
        self._gave_up_waiting = False
        if self._failing:
            self._failing = False
            self._report.recovered("Metrics of %s arrive again", ledger.group)
