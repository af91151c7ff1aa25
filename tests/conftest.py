"""Fixtures: one real server per test, and the count of what was skipped for want of one."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from gangplank.core import process
from gangplank.core.delivery import Destinations
from servers import Server, pushgateway
from tested import record

# A slow example is a busy machine, not a fault.
hypothesis.settings.register_profile("gangplank", deadline=None)
hypothesis.settings.load_profile("gangplank")


# `nohup` and background jobs ignore Ctrl-C, and what a test starts would inherit that; a handler it does not inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Server]:
    """A real, empty Pushgateway."""
    with pushgateway(tmp_path) as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_left_undelivered() -> Iterator[None]:
    """Have what a test leaves undelivered given up: its retries would be heard in the tests after it."""
    yield
    for sender in list(process.this.senders):
        if isinstance(sender, Destinations):
            for outbox in (destination.outbox for destination in sender._each):  # noqa: SLF001
                with outbox._changed:  # noqa: SLF001
                    outbox._send = lambda *_: None  # noqa: SLF001  what is on its way is tried again, to nowhere
                    for group, parcel in list(outbox._parcels.items()):  # noqa: SLF001
                        if parcel.sending is None:
                            del outbox._parcels[group]  # noqa: SLF001
                    outbox._ring()  # noqa: SLF001


@pytest.fixture(autouse=True)
def one_framework() -> Iterator[None]:
    """Refuse a test that brings TensorFlow and torch into this process, where they may crash each other."""
    yield
    assert not {"tensorflow", "torch"} <= sys.modules.keys()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one last line what was not tested for want of a server, and leave a record where `RECORD` names a file."""
    if path := os.environ.get("RECORD"):
        stats = terminalreporter.stats
        record(
            Path(path), {outcome: len(stats.get(outcome, ())) for outcome in ("passed", "skipped", "failed", "error")}
        )
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.getreports("skipped")
        if isinstance(report.longrepr, tuple)
    )
    missing = {reason: count for reason, count in reasons.items() if reason.startswith("needs ")}
    if missing:
        what = "; ".join(f"{count} {reason}" for reason, count in sorted(missing.items()))
        terminalreporter.write_line(
            f"{sum(missing.values())} tests skipped ({what}): tests/install-servers gets them from Debian's packages "
            "where there is apt-get",
            yellow=True,
        )
