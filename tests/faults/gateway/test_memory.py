"""Memory, threads and pages while a gateway is down."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import gangplank
from gangplank.core.log import logger
from support.logged import warnings
from support.reading import value
from support.servers import Server, free_port

# Row 11: memory


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_and_threads_are_flat_over_1e5_updates_with_the_gateway_down(
    caplog: pytest.LogCaptureFixture, record_property: Callable[[str, object], None]
) -> None:
    run = gangplank.run(f"127.0.0.1:{free_port()}", "digits")

    def train(first: int, last: int) -> None:
        for index in range(first, last):
            run.record({"loss": index / 3, "accuracy": index / 7}, epoch=index, step=index)

    train(0, 5_000)
    gc.collect()
    before, threads = resident(), set(threading.enumerate())
    train(5_000, 105_000)
    gc.collect()
    record_property("grown", grown := resident() - before)
    assert grown < 5 * 2**20  # 52 bytes an update
    assert set(threading.enumerate()) <= threads
    assert len(warnings(caplog)) <= 2  # one a minute
    run.finish()


def test_memory_is_flat_whatever_new_names_each_step_brings(gateway: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is dropped is counted, and not remembered for ever."""
    monkeypatch.setattr(logger, "disabled", True)  # pytest keeps what is logged
    run = gangplank.run(gateway.address, "digits")

    def train(first: int, last: int) -> None:
        for index in range(first, last):
            run.record({f"metric {index}": 1.0, f"text {index}": "text"}, step=index)

    train(0, 3_000)
    gc.collect()
    before = resident()
    train(3_000, 30_000)
    gc.collect()
    assert resident() - before < 5 * 2**20
    run.finish()
    text = gateway.metrics()
    assert text.count("\ngangplank_") < 2_000
    assert value(gateway, "gangplank_run_dropped_metrics_total", reason="too_many") == 30_000 - 800
    assert value(gateway, "gangplank_run_dropped_metrics_total", reason="not_numeric") == 30_000


def test_a_page_is_capped_whatever_it_is_of(gateway: Server) -> None:
    with gangplank.run(gateway.address, "digits") as run:
        for epoch in range(30):
            run.record({"loss": 0.5}, epoch=epoch, learning_rates={f"{epoch}/{index}": 0.1 for index in range(150)})
    assert gateway.metrics().count("\ngangplank_") <= 2_000
    assert value(gateway, "gangplank_run_dropped_metrics_total", reason="too_many")
