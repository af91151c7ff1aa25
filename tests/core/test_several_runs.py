"""Several runs of one group in one process: nested, in threads, forgotten. The destination shows one at a time."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest

import gangplank
from gangplank import DeliveryError, Exporter, Page, Run
from gangplank.core.delivery import outbox
from gangplank.core.lifecycle import process
from gangplank.testing import MemorySink
from support.reading import eventually


@pytest.fixture
def memory() -> MemorySink:
    return MemorySink()


@pytest.fixture
def heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "HEARTBEAT", 0.02)


def outboxes() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "gangplank-outbox"]


def one_each(memory: MemorySink, **options: Any) -> tuple[Run, Run]:
    """Return two runs of one group, each of an exporter of its own."""
    first, second = (gangplank.run("memory", "digits", sink=memory, run=name, **options) for name in ("1", "2"))
    return first, second


def shown(memory: MemorySink) -> tuple[str, str, int | None]:
    """Return the run that is shown, its state and its epoch."""
    return next(((page.labels["run"], page.state, page.newest.epoch) for page in memory.pages[-1:]), ("", "", None))


@pytest.mark.parametrize("ends", [True, False])
def test_a_run_that_was_forgotten_never_replaces_the_newer_one(
    memory: MemorySink, heartbeats: None, ends: bool
) -> None:
    others = outboxes()
    forgotten, newer = one_each(memory)
    forgotten.record({"loss": 1.0}, epoch=0)
    eventually(lambda: memory.pages)
    threads = set(outboxes()).difference(others)
    newer.record({"loss": 0.5}, epoch=4)
    if ends:
        newer.finish()
    eventually(lambda: not any(thread.is_alive() for thread in threads))
    assert forgotten.open
    eventually(lambda: shown(memory) == ("2", "finished" if ends else "running", 5))
    pages = [page.labels["run"] for page in memory.pages]
    assert pages[pages.index("2") :].count("1") <= 1, "only one that was on its way"
    newer.finish()


def test_three_hundred_forgotten_runs_leave_no_thread(memory: MemorySink, heartbeats: None) -> None:
    before = set(outboxes())
    forgotten = []
    for place in range(300):
        run = gangplank.run("memory", "digits", sink=memory, run=str(place))
        run.record({"loss": 1.0}, epoch=0)
        forgotten.append(run)
    eventually(lambda: len(set(outboxes()) - before) <= 1)
    eventually(lambda: shown(memory) == ("299", "running", 1))
    forgotten[-1].finish()
    eventually(lambda: set(outboxes()) <= before)
    assert shown(memory) == ("299", "finished", 1)


def test_runs_that_are_deleted_go_with_their_threads_and_pages(memory: MemorySink) -> None:
    before = set(outboxes())
    for place in range(50):
        gangplank.run("memory", "digits", sink=memory, run=str(place)).record({"loss": 1.0}, epoch=0)
    eventually(lambda: set(outboxes()) <= before)
    assert shown(memory) == ("49", "failed", 1)
    gc.collect()
    assert not [key for key in process.shown if key[0] == "memory"]


def test_a_forgotten_run_that_says_something_is_shown_again(memory: MemorySink, heartbeats: None) -> None:
    older, newer = one_each(memory)
    older.record({"loss": 1.0}, epoch=0)
    newer.record({"loss": 0.5}, epoch=4)
    eventually(lambda: shown(memory) == ("2", "running", 5))
    older.record({"loss": 0.9}, epoch=1)
    eventually(lambda: shown(memory) == ("1", "running", 2))
    older.finish()
    newer.finish()
    assert shown(memory)[:2] == ("1", "finished"), "which has said something last"


@pytest.mark.parametrize("ends", ["finish", "delete"])
def test_the_last_steps_of_a_forgotten_run_replace_no_newer_one(memory: MemorySink, ends: str) -> None:
    older, newer = one_each(memory, update_freq="batch")
    for step in range(5):  # the first is pushed at once, the others after the interval, or at the end
        older.step({"loss": step}, step=step)
    eventually(lambda: memory.pages)
    newer.record({"loss": 0.5}, epoch=4)
    eventually(lambda: shown(memory) == ("2", "running", 5))
    if ends == "finish":
        older.finish()
    del older
    newer.finish()
    assert shown(memory) == ("2", "finished", 5)
    assert not [page for page in memory.pages if page.labels["run"] == "1" and page.state != "running"]


@pytest.mark.parametrize("shared", [True, False])
def test_a_run_inside_a_run_is_shown_until_it_ends(memory: MemorySink, heartbeats: None, shared: bool) -> None:
    exporter = Exporter("memory", "digits", sink=memory)
    with exporter.run() as outer:
        outer.record({"loss": 1.0}, epoch=0)
        with (exporter if shared else Exporter("memory", "digits", sink=memory)).run() as inner:
            for epoch in range(5):
                inner.record({"loss": 0.5}, epoch=epoch)
            eventually(lambda: shown(memory) == (inner.name, "running", 5))
            before = len(memory.pages)
            eventually(lambda: len(memory.pages) > before + 3)
            assert {page.labels["run"] for page in memory.pages[before:]} == {inner.name}
        eventually(lambda: shown(memory) == (outer.name, "running", 1))  # at its heartbeat
        assert (inner.name, "finished") in [(page.labels["run"], page.state) for page in memory.pages]
        outer.record({"loss": 0.9}, epoch=1)
    assert shown(memory) == (outer.name, "finished", 2)


def test_a_run_inside_a_run_that_is_lost_ends_nothing_else(memory: MemorySink, heartbeats: None) -> None:
    alive = threading.Event()
    alive.set()
    inner = gangplank.run("memory", "digits", sink=memory, run="inner")
    with gangplank.run("memory", "digits", sink=memory, run="outer") as outer:
        outer.record({"loss": 1.0}, epoch=0)
        inner.start(alive=alive.is_set)
        eventually(lambda: shown(memory) == ("inner", "running", 0))
        alive.clear()
        eventually(lambda: shown(memory) == ("outer", "running", 1))
        assert ("inner", "failed") in [(page.labels["run"], page.state) for page in memory.pages]
    assert shown(memory) == ("outer", "finished", 1)


class Held(MemorySink):
    """Shows the first page only when it may arrive."""

    def __init__(self, shows: MemorySink) -> None:
        super().__init__()
        self._shows = shows
        self.is_sent, self.arrives = threading.Event(), threading.Event()

    def send(self, page: Page, timeout: float) -> None:
        self.is_sent.set()
        self.arrives.wait(20)
        self._shows.send(page, timeout)


def test_the_last_page_of_a_run_inside_a_run_is_sent_before_that_is_shown_again(
    memory: MemorySink, heartbeats: None
) -> None:
    held = Held(memory)
    exporter = Exporter("memory", "digits", sink=held, flush_timeout=0)
    with exporter.run() as outer:
        outer.start()
        assert held.is_sent.wait(10)
        outer.record({"loss": 1.0}, epoch=0)
        with exporter.run() as inner:
            inner.record({"loss": 0.5}, epoch=4)
        held.arrives.set()
        eventually(lambda: shown(memory) == (outer.name, "running", 1))
    assert (inner.name, "finished", 5) in [(page.labels["run"], page.state, page.newest.epoch) for page in memory.pages]


def test_a_page_of_another_exporter_that_arrives_late_does_not_stay(memory: MemorySink) -> None:
    held = Held(memory)
    older, newer = (
        gangplank.run("memory", "digits", sink=sink, run=name) for sink, name in ((held, "1"), (memory, "2"))
    )
    older.record({"loss": 1.0}, epoch=0)
    assert held.is_sent.wait(10)
    with newer:
        newer.record({"loss": 0.5}, epoch=4)
    eventually(lambda: shown(memory) == ("2", "finished", 5))
    held.arrives.set()
    eventually(lambda: "1" in [page.labels["run"] for page in memory.pages])
    eventually(lambda: shown(memory) == ("2", "finished", 5))
    older.finish()
    assert shown(memory) == ("2", "finished", 5)


def test_the_end_of_an_older_run_that_is_on_its_way_beside_a_newer_one_does_not_stay(memory: MemorySink) -> None:
    class Gated(MemorySink):
        def __init__(self) -> None:
            super().__init__()
            self.passes = threading.Semaphore(0)

        def send(self, page: Page, timeout: float) -> None:
            super().send(page, timeout)
            self.passes.acquire(timeout=20)
            memory.send(page, timeout)

    sinks = Gated(), Gated()
    one, other = (Exporter("memory", "digits", sink=sink, flush_timeout=0) for sink in sinks)
    older, newer = one.run(), other.run()
    with other.run("test"):
        eventually(lambda: sinks[1].pages)  # of this, the first page is on its way
    with older:
        older.record({"loss": 1.0}, epoch=0)
        eventually(lambda: sinks[0].pages)
    with newer:
        newer.record({"loss": 0.5}, epoch=4)
    sinks[0].passes.release()
    eventually(lambda: sinks[0].pages[-1].state == "finished")  # since no page of the newer one has been sent
    sinks[1].passes.release(10)
    eventually(lambda: shown(memory) == (newer.name, "finished", 5))
    sinks[0].passes.release(10)
    eventually(lambda: (older.name, "finished") in [(page.labels["run"], page.state) for page in memory.pages])
    eventually(lambda: shown(memory) == (newer.name, "finished", 5))


def test_a_run_is_shown_once_more_when_a_page_of_another_exporter_has_had_time_to_arrive(
    memory: MemorySink, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TimesOut(Held):
        def send(self, page: Page, timeout: float) -> None:
            super().send(page, timeout)
            raise DeliveryError("no answer", "timeout")

    monkeypatch.setattr(outbox, "SETTLING", 0.05)
    times_out = TimesOut(MemorySink())
    older = gangplank.run("memory", "digits", sink=times_out)
    older.record({"loss": 1.0}, epoch=0)
    assert times_out.is_sent.wait(10)
    with gangplank.run("memory", "digits", sink=memory) as newer:
        newer.record({"loss": 0.5}, epoch=4)
    eventually(lambda: shown(memory) == (newer.name, "finished", 5))
    times_out.arrives.set()
    # At the end, when the push of the other has timed out, and a little later.
    eventually(lambda: [page.state for page in memory.pages].count("finished") == 3)
    older.finish()


def test_a_run_that_was_overtaken_before_its_first_page_is_found_to_be_lost(
    memory: MemorySink, heartbeats: None
) -> None:
    goes_on = threading.Event()

    class Waits(MemorySink):
        def send(self, page: Page, timeout: float) -> None:
            goes_on.wait(20)
            super().send(page, timeout)

    exporter = Exporter("memory", "digits", sink=Waits(), flush_timeout=0)
    with exporter.run("test"):  # whose page is on its way
        pass
    lost, newer = exporter.run(), gangplank.run("memory", "digits", sink=memory, run="newer")
    lost.start(epochs=3, alive=lambda: False)
    newer.record({"loss": 0.5}, epoch=4)
    goes_on.set()
    eventually(lambda: not lost.open)
    assert newer.open
    newer.finish()


def test_two_threads_with_one_exporter_each_have_their_run(memory: MemorySink) -> None:
    exporter = Exporter("memory", "digits", sink=memory)
    both, first_has_ended = threading.Barrier(2), threading.Event()

    def train(epochs: int) -> None:
        with exporter.run() as run:
            for epoch in run.epochs(epochs):
                if epoch == 3:
                    first_has_ended.wait(10)
                run.record({"loss": 1.0 / epochs}, epoch=epoch)
                if epoch < 3:
                    both.wait(10)  # so that neither replaces the last page of the other
        first_has_ended.set()

    threads = [threading.Thread(target=train, args=(epochs,)) for epochs in (3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    last = {page.newest.epochs_planned: page for page in memory.pages}
    assert {planned: (page.state, page.newest.epoch) for planned, page in last.items()} == {
        3: ("finished", 3),
        4: ("finished", 4),
    }
    assert {planned: page.metrics["loss"][0] for planned, page in last.items()} == {3: 1 / 3, 4: 1 / 4}


def test_the_runs_of_other_groups_overtake_nothing(memory: MemorySink, heartbeats: None) -> None:
    exporter = Exporter("memory", "digits", sink=memory)
    train = exporter.run()
    train.record({"loss": 1.0}, epoch=0)
    with exporter.run("test") as test:
        test.record({"loss": 0.5})
    before = len(memory.pages)
    eventually(lambda: len(memory.pages) > before + 2)
    assert {page.phase for page in memory.pages[before:]} == {"train"}
    train.finish()
