"""Our own threads die, or cannot start: the next record notices, and starts one."""

from __future__ import annotations

import _thread
import copy
import ctypes
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import gangplank
from gangplank import RunInfo, Snapshot, hookimpl, hooks
from gangplank.core.delivery import outbox
from gangplank.core.plugins import observers
from gangplank.testing import MemorySink
from support.reading import eventually
from support.threads import alive, without_earlier_threads

dies = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
__all__ = ["without_earlier_threads"]
OURS = ("gangplank-outbox", "gangplank-observers")


@pytest.fixture
def observed() -> Iterator[list[object]]:
    """The losses that a plugin observes."""
    losses: list[object] = []

    class Plugin:
        @hookimpl
        def gangplank_snapshot(self, run: RunInfo, snapshot: Snapshot) -> None:
            losses.append(snapshot.metrics.get("loss"))

    hooks.register(Plugin(), "watches")
    yield losses
    hooks.unregister("watches")


class Alone(MemorySink):
    """A sink to which no two threads may send at a time; `meanwhile` is called once, in the middle of a push."""

    def __init__(self) -> None:
        super().__init__()
        self.busy, self.overlaps = threading.Lock(), 0
        self.meanwhile: Callable[[], object] | None = None

    def send(self, page: gangplank.Page, timeout: float) -> None:
        if not self.busy.acquire(blocking=False):
            self.overlaps += 1
            return
        try:
            meanwhile, self.meanwhile = self.meanwhile, None
            if meanwhile is not None:
                meanwhile()
            super().send(page, timeout)
        finally:
            self.busy.release()


@pytest.fixture
def memory() -> Iterator[Alone]:
    memory = Alone()
    yield memory
    assert not memory.overlaps


def loss(memory: Alone) -> float | None:
    return memory.value("gangplank_train_loss")


def train(memory: Alone) -> gangplank.Run:
    return gangplank.run("memory", "digits", sink=memory)


# A thread that dies


def memory_error(*_: object) -> None:
    raise MemoryError


@dies
@pytest.mark.parametrize("where", ["_begin", "_finish", "_next_due", "_attempt"])
def test_a_thread_that_dies_is_replaced_with_the_next_record(
    where: str, memory: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(memory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox.Outbox, where, memory_error)
        run.record({"loss": 0.5}, epoch=0)
        eventually(lambda: not alive("gangplank-outbox"))
    run.record({"loss": 0.25}, epoch=1)
    eventually(lambda: loss(memory) == 0.25)
    eventually(lambda: len(alive("gangplank-outbox")) == 1)
    run.finish()
    assert memory.value("gangplank_run_state", state="finished") == 1


@dies
def test_a_page_that_had_failed_before_the_thread_died_is_sent_as_well(memory: Alone) -> None:
    run, attempts = train(memory), []

    def fail(*_: object) -> None:
        attempts.append(1)
        raise gangplank.DeliveryError("refused", "unreachable")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "send", fail)
        run.record({"loss": 0.5}, epoch=0)
        eventually(lambda: attempts)
        patch.setattr(outbox.Outbox, "_attempt", memory_error)
        eventually(lambda: not alive("gangplank-outbox"))
    run.record({"loss": 0.25}, epoch=1)
    eventually(lambda: loss(memory) == 0.25)
    run.finish()


@dies
def test_the_end_of_a_run_arrives_even_if_the_thread_dies_of_it(memory: Alone) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox.Outbox, "_next_due", memory_error)
        with train(memory) as run:
            run.record({"loss": 0.5}, epoch=0)
        eventually(lambda: not alive("gangplank-outbox"))
    assert loss(memory) == 0.5
    assert memory.value("gangplank_run_state", state="finished") == 1


@dies
def test_a_thread_that_is_killed_is_replaced(memory: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    """As libraries do it that end a thread from outside: it raises wherever it is."""
    monkeypatch.setattr(outbox, "HEARTBEAT", 0.02)

    def kill() -> list[threading.Thread]:
        for thread in alive("gangplank-outbox"):
            frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001
            if (
                frame is not None and frame.f_code.co_name == "_next_due"
            ):  # in a push, it would be an error of that push
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit)
                )
        return alive("gangplank-outbox")

    run = train(memory)
    for number in range(20):
        run.record({"loss": number}, epoch=number)
        eventually(lambda number=number: loss(memory) == number)  # type: ignore[misc]
        assert len(alive("gangplank-outbox")) == 1
        eventually(lambda: not kill())
    run.finish()


@dies
def test_an_observers_thread_that_dies_is_replaced_with_the_next_event(observed: list[object], memory: Alone) -> None:
    run = train(memory)
    run.start()
    eventually(lambda: not alive("gangplank-observers"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copy, "deepcopy", memory_error)
        patch.setattr(observers, "warn_raised", memory_error)
        run.record({"loss": 0.5}, epoch=0)
        eventually(lambda: not alive("gangplank-observers"))
    run.record({"loss": 0.25}, epoch=1)
    eventually(lambda: 0.25 in observed)
    run.finish()


# A thread that cannot start


class Limit:
    """While it is reached, none of our threads starts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = True
        start = threading.Thread.start

        def limited(thread: threading.Thread) -> None:
            if self.reached and thread.name in OURS:
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", limited)


def test_while_no_thread_can_start_the_end_of_a_run_is_sent_all_the_same(
    memory: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    Limit(monkeypatch)
    run = train(memory)
    run.record({"loss": 0.5}, epoch=0)
    assert not memory.pages
    run.finish()
    assert loss(memory) == 0.5
    assert memory.value("gangplank_run_state", state="finished") == 1


def test_a_strict_run_needs_no_thread(memory: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    Limit(monkeypatch)
    with gangplank.run("memory", "digits", sink=memory, ignore_exceptions=False) as run:
        for epoch in run.epochs(3):
            run.record({"loss": epoch})
            assert loss(memory) == epoch


def test_once_a_thread_can_start_the_next_record_starts_one(
    observed: list[object], memory: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = Limit(monkeypatch)
    run = train(memory)
    run.record({"loss": 0.5}, epoch=0)
    limit.reached = False
    run.record({"loss": 0.25}, epoch=1)
    eventually(lambda: loss(memory) == 0.25)
    eventually(lambda: observed == [0.5, 0.25])
    eventually(lambda: len(alive("gangplank-outbox")) == 1)
    run.finish()


def test_a_thread_that_starts_meanwhile_waits_for_a_push_of_the_training_thread(
    memory: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that an older page does not arrive after a newer one."""
    limit = Limit(monkeypatch)
    exporter = gangplank.Exporter("memory", "digits", sink=memory)
    run, other = exporter.run(), exporter.run("test")

    def start_another() -> None:
        limit.reached = False
        other.record({"loss": 1})  # as another thread of the training may
        eventually(lambda: alive("gangplank-outbox"))
        time.sleep(0.1)  # it would have sent by now

    run.record({"loss": 0.5}, epoch=0)
    memory.meanwhile = start_another
    run.finish()
    other.finish()
    assert [page.state for page in memory.pages if page.phase == "train"] == ["finished"]
    assert memory.value("gangplank_test_loss") == 1


def test_ctrl_c_in_a_push_of_the_training_thread_is_the_users(memory: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = Limit(monkeypatch)
    run = train(memory)
    run.record({"loss": 0.5}, epoch=0)
    memory.meanwhile = _thread.interrupt_main
    with pytest.raises(KeyboardInterrupt):
        run.finish()
    limit.reached = False
    with train(memory) as again:
        again.record({"loss": 0.25}, epoch=0)
    assert loss(memory) == 0.25
