"""What goes wrong with the gateway."""

from __future__ import annotations

import gc
import random
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import gangplank
from gangplank import Page, RunInfo, Snapshot, hookimpl, hooks
from gangplank.testing import MemorySink
from support.handlers import Recorder
from support.reading import eventually, value
from support.runs import EDGES, WEIGHTS
from support.servers import Server, free_port, pushgateway


def test_a_gateway_that_is_down_costs_the_run_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    start = time.monotonic()
    with gangplank.run(f"127.0.0.1:{port}", "digits") as run:
        for epoch in range(50):
            run.record({"loss": 0.5}, epoch=epoch)
    assert time.monotonic() - start < 2
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert f"http://127.0.0.1:{port} is unreachable" in warnings[0]
    with pushgateway(tmp_path, port=port) as gateway:  # which comes back after the run has ended
        eventually(lambda: value(gateway, "gangplank_run_state", state="finished") == 1)
        assert (value(gateway, "gangplank_run_export_failures_total", reason="unreachable") or 0) >= 1


def test_a_seeded_training_draws_the_same_numbers_with_and_without_us() -> None:
    random.seed(1)
    before = random.getstate()
    run = gangplank.run(f"127.0.0.1:{free_port()}", "digits", histogram_buckets=EDGES)
    run.record({"loss": 0.5}, epoch=0, weights=WEIGHTS)
    run.finish()  # after an attempt that failed
    assert random.getstate() == before


def test_a_late_page_never_overwrites_that_of_a_newer_run(tmp_path: Path) -> None:
    port = free_port()
    exporter = gangplank.Exporter(f"127.0.0.1:{port}", "digits", run="older")
    older = exporter.run()
    older.record({"loss": 1}, epoch=0)
    older.finish()
    with pushgateway(tmp_path, port=port) as gateway:
        newer = gangplank.run(gateway.address, "digits", run="newer", ignore_exceptions=False)
        newer.record({"loss": 2}, epoch=0)
        newer.finish()
        destinations = exporter._destinations  # noqa: SLF001  that it is given up, and not sent, shows nowhere else
        destinations.retry_now()
        eventually(lambda: not destinations._each[0].outbox.undelivered())  # noqa: SLF001
        assert value(gateway, "gangplank_train_loss", run="newer") == 2


def test_a_page_that_arrives_after_a_newer_run_has_begun_is_noted() -> None:
    last, arrives, delivered = threading.Event(), threading.Event(), []

    class Slow(MemorySink):
        def send(self, page: Page, timeout: float) -> None:
            super().send(page, timeout)
            if page.state == "finished":
                last.set()
                assert arrives.wait(timeout)

    class Notes:
        @hookimpl
        def gangplank_delivered(self, run: RunInfo) -> None:
            delivered.append(run.name)

    hooks.register(Notes(), "notes")
    try:
        exporter = gangplank.Exporter("slow", "digits", sink=Slow(), flush_timeout=0)
        older, newer = exporter.run(), exporter.run()
        older.start()
        eventually(lambda: delivered.count(older.name) == 1)
        older.finish()
        assert last.wait(5)
        newer.start()
        arrives.set()
        eventually(lambda: newer.name in delivered)
        assert delivered.count(older.name) == 2
    finally:
        hooks.unregister("notes")


def test_the_late_end_of_an_older_run_that_is_lost_keeps_back_no_page_of_a_newer_one() -> None:
    memory, sent, arrives = MemorySink(), threading.Event(), threading.Event()

    class Slow(MemorySink):
        def send(self, page: Page, timeout: float) -> None:
            sent.set()
            assert arrives.wait(timeout)
            memory.send(page, timeout)

    exporter = gangplank.Exporter("slow", "digits", sink=Slow(), flush_timeout=0)
    older, newer = exporter.run(), exporter.run()
    older.start()
    newer.start()
    assert sent.wait(5)
    newer.record({"loss": 2}, epoch=0)
    newer.finish()
    del older
    arrives.set()
    eventually(lambda: memory.value("gangplank_run_state", state="finished", run=str(newer.name)))
    assert memory.value("gangplank_train_loss") == 2


def test_a_run_that_a_destructor_ends_on_the_thread_that_sends_shows_how_it_ended() -> None:
    class Collecting(MemorySink):
        def send(self, page: Page, timeout: float) -> None:
            super().send(page, timeout)
            assert began.wait(timeout)
            training.clear()  # as the garbage collector, which may begin on any thread

    def steps() -> Iterator[None]:
        with run:
            run.start()
            yield

    memory, began = Collecting(), threading.Event()
    run = gangplank.run("memory", "digits", sink=memory)
    training = [steps()]
    next(training[0])
    began.set()
    eventually(lambda: memory.value("gangplank_run_state", state="failed"))


def test_a_gateway_that_hangs_is_waited_for_once_and_not_long(gateway: Server) -> None:
    exporter = gangplank.Exporter(gateway.address, "digits", flush_timeout=0.3, timeout=30)
    gateway.freeze()
    took = []
    for _ in range(2):
        start = time.monotonic()
        run = exporter.run("train")
        run.record({"loss": 0.5}, epoch=0)
        run.finish()
        took.append(time.monotonic() - start)
    gateway.thaw()
    assert took[0] < 2
    assert took[1] < 0.25
    eventually(lambda: value(gateway, "gangplank_run_state", state="finished") == 1)


def test_a_destination_that_hangs_for_many_epochs_gets_the_newest_and_keeps_little() -> None:
    goes_on = threading.Event()

    def snapshots() -> int:
        return sum(type(one) is Snapshot for one in gc.get_objects())

    class Hangs(MemorySink):
        def send(self, page: Page, timeout: float) -> None:
            goes_on.wait(30)
            super().send(page, timeout)

    memory = Hangs()
    gc.collect()
    before = snapshots()  # those of other tests
    with gangplank.run("memory", "digits", sink=memory, flush_timeout=30) as run:
        for epoch in range(1000):
            run.record({"loss": float(epoch), f"of_{epoch % 7}": float(epoch)}, epoch=epoch)
        assert snapshots() - before < 100
        goes_on.set()
    assert memory.value("gangplank_run_epoch") == 1000
    assert memory.value("gangplank_train_loss") == 999
    assert [memory.value(f"gangplank_train_of_{place}") for place in range(7)] == [994, 995, 996, 997, 998, 999, 993]
    assert len(memory.pages) <= 3


def test_the_gateways_reason_reaches_the_log_once(gateway: Server, caplog: pytest.LogCaptureFixture) -> None:
    clash = b"# TYPE gangplank_train_loss counter\ngangplank_train_loss 1\n"
    urllib.request.urlopen(urllib.request.Request(f"{gateway.url}/metrics/job/other", clash, method="PUT")).close()
    with gangplank.run(gateway.address, "digits") as run:
        for epoch in range(3):
            run.record({"loss": 0.5}, epoch=epoch)
    rejected = [record.getMessage() for record in caplog.records if "answered 400" in record.getMessage()]
    assert len(rejected) == 1
    assert "gangplank_train_loss" in rejected[0].partition("answered 400")[2]
    assert "\n" not in rejected[0]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        *((TimeoutError("slow"), "timeout"), (ConnectionResetError("gone"), "unreachable")),
        (RuntimeError("a bug in the handler"), "internal"),
    ],
)
def test_what_a_handler_raises_is_counted_by_its_reason(error: Exception, reason: str) -> None:
    handler = Recorder(error)
    run = gangplank.run("gateway:1", "digits", handler=handler)
    run.record({"loss": 0.5}, epoch=0)
    counted = re.compile(
        rf'failures_total{{destination="http://gateway:1",reason="{reason}",run="[^"]+"}} [1-9]'.encode()
    )
    eventually(lambda: counted.search(handler.calls[-1]["data"]) if handler.calls else None)
    handler.error = None
    run.finish()
