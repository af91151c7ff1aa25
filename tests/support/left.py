"""What a test leaves on its way, which would be tried for as long as pytest lives."""

from __future__ import annotations

import contextlib
import threading

import pytest

from gangplank.core.errors import DeliveryError
from gangplank.core.lifecycle import process
from gangplank.core.sinks.pushgateway import Pushgateway
from support.reading import eventually

_of_others: set[threading.Thread] = set()


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "gangplank-outbox"}


def begin() -> None:
    """Take note of the threads that tests elsewhere have left."""
    _of_others.clear()
    _of_others.update(_threads())


def sending() -> set[threading.Thread]:
    """Return the threads that send, of those that have begun since `begin`."""
    return _threads() - _of_others


def deliver_to_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """End what is still on its way."""
    monkeypatch.setattr(Pushgateway, "send", lambda *_: None)
    for run in list(process.runs):
        with contextlib.suppress(DeliveryError):  # of a run that awaits its pushes, one of which is still under way
            run.lose(SystemExit())

    def idle() -> bool:
        for sender in list(process.senders):
            sender.retry_now()
        return not sending()

    eventually(idle)
