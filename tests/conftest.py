"""Fixtures: one real server per test, and the count of what was skipped for want of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from servers import Server, pushgateway

# A slow example is a busy machine, not a fault.
hypothesis.settings.register_profile("gangplank", deadline=None)
hypothesis.settings.load_profile("gangplank")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Server]:
    """A real, empty Pushgateway."""
    with pushgateway(tmp_path) as server:
        yield server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one last line what was not tested for want of a server."""
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.getreports("skipped")
        if isinstance(report.longrepr, tuple)
    )
    missing = {reason: count for reason, count in reasons.items() if reason.startswith("needs ")}
    if missing:
        what = "; ".join(f"{count} {reason}" for reason, count in sorted(missing.items()))
        terminalreporter.write_line(
            f"{sum(missing.values())} tests skipped ({what}): install Debian's prometheus, prometheus-pushgateway and "
            "prometheus-node-exporter",
            yellow=True,
        )
