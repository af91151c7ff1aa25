"""The strict exporter: `ignore_exceptions` is False."""

from __future__ import annotations

import contextlib
import logging
import time
from typing import Any

import numpy as np
import pytest

import gangplank
from gangplank import DeliveryError, ExportError, MetricError, Page
from gangplank.testing import MemorySink
from support.handlers import Recorder
from support.reading import eventually, value
from support.runs import EDGES
from support.servers import Server, free_port


def test_strict_waits_for_each_push(gateway: Server) -> None:
    run = gangplank.run(gateway.address, "digits", ignore_exceptions=False)
    run.start()
    for epoch in range(3):
        run.record({"loss": epoch}, epoch=epoch)
        assert value(gateway, "gangplank_train_loss") == epoch
    run.finish()


def test_strict_raises_where_nobody_listens() -> None:
    port = free_port()
    run = gangplank.run(f"127.0.0.1:{port}", "digits", ignore_exceptions=False)
    with pytest.raises(DeliveryError, match=rf"http://127\.0\.0\.1:{port} is unreachable"):
        run.start()


def test_strict_raises_within_the_deadline_where_the_gateway_hangs(gateway: Server) -> None:
    run = gangplank.run(gateway.address, "digits", ignore_exceptions=False, timeout=0.3)
    gateway.freeze()
    start = time.monotonic()
    with pytest.raises(DeliveryError, match=r"did not answer within 0\.3 s"):
        run.start()
    assert time.monotonic() - start < 1.3
    gateway.thaw()


@pytest.mark.parametrize("error", [None, ValueError("of the training")])
def test_strict_ends_a_run_whose_last_weights_did_not_arrive(error: ValueError | None) -> None:
    refused = DeliveryError("refused", "unreachable")

    class Failing(MemorySink):
        fails = False

        def send(self, page: Page, timeout: float) -> None:
            if self.fails:
                raise refused
            super().send(page, timeout)

    sink = Failing()
    run = gangplank.run("memory", "digits", sink=sink, ignore_exceptions=False, histogram_buckets=EDGES)
    run.start()
    sink.fails = True
    with pytest.raises(DeliveryError, match="refused") if error is None else contextlib.nullcontext():
        run.finish(error, weights=np.zeros(3))
    assert not run.open
    sink.fails = False
    eventually(lambda: sink.value("gangplank_run_state", state="failed" if error else "finished"))


def test_strict_raises_where_a_handler_hangs() -> None:
    def handler(url: str, method: str, timeout: float | None, headers: list[Any], data: bytes) -> Any:
        return lambda: time.sleep(3)

    run = gangplank.run("gateway:1", "digits", ignore_exceptions=False, timeout=0.1, handler=handler)
    with pytest.raises(DeliveryError, match=r"http://gateway:1 accepted nothing within 1\.1 s"):
        run.start()


def test_strict_raises_at_a_wanted_metric_that_is_no_number(gateway: Server) -> None:
    run = gangplank.run(gateway.address, "digits", metrics=["note"], ignore_exceptions=False)
    with pytest.raises(MetricError, match="'note' cannot be exported: a str is not a number"):
        run.record({"note": "text"}, epoch=0)
    run.finish()


def test_strict_raises_at_weights_that_cannot_be_counted(gateway: Server) -> None:
    run = gangplank.run(gateway.address, "digits", histogram_buckets=EDGES, ignore_exceptions=False)
    with pytest.raises(MetricError, match="complex128"):
        run.record({"loss": 1}, epoch=0, weights=[np.array([1j])])
    run.finish()


def test_strict_a_run_ends_although_its_last_step_cannot_be_exported() -> None:
    memory = MemorySink()
    run = gangplank.run("memory", "digits", metrics=["note"], update_freq="batch", sink=memory, ignore_exceptions=False)
    run.start()
    run.step({"note": 0.5})  # pushed at once; the next one after the interval
    run.step({"note": "text"})
    with pytest.raises(MetricError, match="'note' cannot be exported: a str is not a number"):
        run.finish()
    assert not run.open
    assert memory.value("gangplank_run_state", state="finished") == 1


def test_strict_says_what_a_fault_of_ours_was(gateway: Server) -> None:
    run = gangplank.run(gateway.address, "digits", ignore_exceptions=False)
    with pytest.raises(ExportError, match="recording failed: AttributeError"):
        run.record([1, 2, 3], epoch=0)  # type: ignore[arg-type]
    run.finish()


def test_strict_never_replaces_the_users_own_exception() -> None:
    handler = Recorder()
    with (  # noqa: PT012  what the user's code does
        pytest.raises(ZeroDivisionError),
        gangplank.run("gateway:1", "a", handler=handler, ignore_exceptions=False) as run,
    ):
        run.start()
        handler.error = OSError("down")
        raise ZeroDivisionError


def test_lenient_logs_what_a_fault_of_ours_was(gateway: Server, caplog: pytest.LogCaptureFixture) -> None:
    with gangplank.run(gateway.address, "digits") as run:
        for _ in range(3):
            run.record([1, 2, 3], epoch=0)  # type: ignore[arg-type]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "recording failed: AttributeError" in caplog.text
