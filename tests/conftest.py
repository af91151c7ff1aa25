"""Fixtures: one real server per test, and the count of what was skipped for want of one."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from gangplank.core import environment
from gangplank.core.delivery.destinations import Destinations
from gangplank.core.lifecycle import process
from gangplank.core.plugins import registry

pytest.register_assert_rewrite("support")  # what its helpers assert is shown as in a test

from support.servers import Server, pushgateway  # noqa: E402
from support.tested import record  # noqa: E402

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
    """Have what a test leaves open or undelivered given up: it would be heard in the tests after it."""
    yield
    for run in list(process.runs):
        run.detach()
    for sender in list(process.senders):
        if isinstance(sender, Destinations):
            sender.abandon()


@pytest.fixture
def without_facts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have whatever is asked about this machine and its packages raise."""

    def refuse() -> str:
        raise PermissionError

    cached = (environment.known_info, registry.installed)
    for known in cached:
        known.cache_clear()
    monkeypatch.setattr(environment, "_FACTS", dict.fromkeys(environment._FACTS, refuse))  # noqa: SLF001
    monkeypatch.setattr(importlib.metadata, "distributions", refuse)
    yield
    for known in cached:
        known.cache_clear()


@pytest.fixture(autouse=True)
def one_framework() -> Iterator[None]:
    """Refuse a test that brings TensorFlow and torch into this process, where they may crash each other."""
    yield
    assert not {"tensorflow", "torch"} <= sys.modules.keys()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not tested for want of a server, and why tests were run again; leave a record in `RECORD`."""
    stats = terminalreporter.stats
    if path := os.environ.get("RECORD"):
        record(
            Path(path), {outcome: len(stats.get(outcome, ())) for outcome in ("passed", "skipped", "failed", "error")}
        )
    for report in stats.get("rerun", ()):
        terminalreporter.section(f"run again: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)
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
