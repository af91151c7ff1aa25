"""Runs whose training is gone although nothing has ended them: the heartbeat finds them."""

from __future__ import annotations

import functools
import gc
import operator
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gangplank
from gangplank import Exporter, ExportError, Outcome, Page, RunInfo, hookimpl, hooks
from gangplank.core import lifetime
from gangplank.core.delivery import outbox
from gangplank.core.delivery.turns import Turns
from gangplank.core.page.latest import Latest
from gangplank.testing import MemorySink
from support.reading import eventually


class Ends:
    """Notes how runs end."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    @hookimpl
    def gangplank_run_finished(self, run: RunInfo, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    hooks.register(ends, "ends")
    yield ends
    hooks.unregister("ends")


@pytest.fixture
def memory() -> MemorySink:
    return MemorySink()


@pytest.fixture
def heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "HEARTBEAT", 0.02)
    monkeypatch.setattr(lifetime, "_CHECK_INTERVAL", 0.001)


def states(memory: MemorySink) -> list[str]:
    return [page.state for page in memory.pages]


def nothing_is_due(exporter: Exporter) -> bool:
    """Return whether the threads that send have ended."""
    return not any(one.outbox._worker.alive for one in exporter._destinations._each)  # noqa: SLF001


@pytest.mark.parametrize("strict", [False, True])
def test_a_lost_run_shows_as_failed_and_is_reported_once(
    memory: MemorySink, ends: Ends, heartbeats: None, strict: bool
) -> None:
    second = MemorySink()
    sinks: dict[str, MemorySink] = {"first": memory, "second": second}
    exporter = Exporter(list(sinks), "digits", sink=_named(sinks), ignore_exceptions=not strict)
    run, alive = exporter.run(), threading.Event()
    alive.set()
    run.start(alive=alive.is_set)
    run.record({"loss": 0.5}, epoch=0)
    eventually(lambda: len(memory.pages) > 4)
    assert run.open
    assert set(states(memory)) == {"running"}
    alive.clear()
    eventually(lambda: ends.outcomes)
    eventually(lambda: nothing_is_due(exporter))
    run.finish()
    run.finish(ValueError())
    for sink in sinks.values():
        assert states(sink).count("failed") == 1
        assert states(sink)[-1] == "failed"
        assert sink.value("gangplank_train_loss") == 0.5
        assert sink.value("gangplank_run_last_success_timestamp_seconds") is None
    assert not run.open
    with exporter.run("test"):  # whose end is reported after all that came before
        pass
    eventually(lambda: Outcome.FINISHED in ends.outcomes)
    assert ends.outcomes == ["failed", "finished"]


def _named(sinks: dict[str, MemorySink]) -> Callable[[str], Any]:
    def opened(address: str) -> MemorySink:
        sink = sinks[address]
        sink.__class__ = type(address, (MemorySink,), {"__str__": lambda _: address})
        return sink

    return opened


def test_nothing_is_recorded_in_a_lost_run(
    memory: MemorySink, heartbeats: None, caplog: pytest.LogCaptureFixture
) -> None:
    for lost, ignore in enumerate((True, False), 1):
        run = gangplank.run("memory", "digits", sink=memory, ignore_exceptions=ignore)
        run.start(alive=lambda: False)
        eventually(lambda: states(memory).count("failed"), functools.partial(operator.eq, lost))
        if ignore:
            run.record({"loss": 0.5}, epoch=0)
            assert "has ended" in caplog.text
        else:
            with pytest.raises(ExportError, match="has ended"):
                run.record({"loss": 0.5}, epoch=0)
        assert not run.open
        run.step({"loss": 0.5}, duration=1.0)
    assert memory.value("gangplank_train_loss") is None
    assert memory.value("gangplank_run_step_duration_seconds_count") is None


def test_the_last_steps_of_a_lost_run_are_shown(memory: MemorySink, heartbeats: None) -> None:
    run, alive = gangplank.run("memory", "digits", sink=memory, update_freq="batch"), threading.Event()
    alive.set()
    run.start(alive=alive.is_set)
    for step in range(5):  # the first is due at once, the others after the interval
        run.step({"loss": step}, step=step)
    alive.clear()
    eventually(lambda: states(memory)[-1:] == ["failed"])
    assert memory.value("gangplank_train_batch_loss") == 4
    assert memory.value("gangplank_run_step") == 4


def test_a_run_that_is_deleted_has_failed_at_once(
    memory: MemorySink, ends: Ends, caplog: pytest.LogCaptureFixture
) -> None:
    run = gangplank.run("memory", "digits", sink=memory, update_freq="batch")
    for step in range(5):
        run.step({"loss": step}, step=step)
    del run
    eventually(lambda: states(memory)[-1:] == ["failed"])
    assert memory.value("gangplank_train_batch_loss") == 4
    eventually(lambda: ends.outcomes)
    assert ends.outcomes == ["failed"]
    assert "is over, and nothing has ended it" in caplog.text


@pytest.mark.parametrize(
    ("error", "state"), [(ValueError, "failed"), (KeyboardInterrupt, "interrupted"), (SystemExit, "interrupted")]
)
def test_a_run_that_is_deleted_while_its_exception_is_handled_ends_with_it(
    memory: MemorySink, error: type[BaseException], state: str
) -> None:
    runs = [gangplank.run("memory", "digits", sink=memory)]
    try:
        runs[0].record({"loss": 0.5}, epoch=0)
        raise error  # noqa: TRY301  as a training does
    except error:
        runs.clear()
    eventually(lambda: states(memory)[-1:] == [state])


def test_a_run_that_is_deleted_waits_for_nothing(caplog: pytest.LogCaptureFixture) -> None:
    waits = threading.Event()

    class Hangs(MemorySink):
        def send(self, page: Page, timeout: float) -> None:
            waits.wait(20)
            super().send(page, timeout)

    memory = Hangs()
    run = gangplank.run("memory", "digits", sink=memory, flush_timeout=20)
    run.record({"loss": 0.5}, epoch=0)
    start = time.monotonic()
    del run
    assert time.monotonic() - start < 5
    waits.set()
    eventually(lambda: states(memory)[-1:] == ["failed"])


def test_a_run_that_is_deleted_before_it_has_started_or_after_it_has_ended_is_nothing(
    memory: MemorySink, caplog: pytest.LogCaptureFixture
) -> None:
    gangplank.run("memory", "digits", sink=memory)
    with gangplank.run("memory", "digits", sink=memory) as run:
        run.record({"loss": 0.5}, epoch=0)
    del run
    with pytest.raises(gangplank.ConfigurationError):
        gangplank.run("memory", "digits", "fit", sink=memory)
    gc.collect()
    assert states(memory)[-1] == "finished"
    assert not caplog.records


@pytest.mark.parametrize(("error", "state"), [(ValueError, "failed"), (KeyboardInterrupt, "interrupted")])
def test_a_run_that_is_lost_while_its_thread_handles_an_exception_ends_with_that(
    memory: MemorySink, heartbeats: None, error: type[BaseException], state: str
) -> None:
    alive, saved = threading.Event(), threading.Event()
    alive.set()

    def trains() -> None:
        run = gangplank.run("memory", "digits", sink=memory)
        run.start(alive=alive.is_set)
        try:
            raise error  # noqa: TRY301  as above
        except error:
            alive.clear()
            saved.wait(20)

    thread = threading.Thread(target=trains)
    thread.start()
    eventually(lambda: states(memory)[-1:] == [state])
    saved.set()
    thread.join()


def test_a_heartbeat_in_the_middle_of_the_end_of_a_run_drops_no_last_page(
    memory: MemorySink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is no longer open, and has not yet said how it ended, when the thread that sends asks."""
    exporter = Exporter("memory", "digits", sink=memory)
    run, asked, said = exporter.run(), threading.Event(), threading.Event()
    is_shown, flush, last_steps = Turns._is_shown, outbox.Outbox.flush, run._record_last_steps  # noqa: SLF001

    def asks(turns: Turns, latest: Latest) -> bool:
        shown = is_shown(turns, latest)
        if not run.open and not asked.is_set():
            asked.set()
            said.wait(10)
        return shown

    def waits(box: Any, source: Any, timeout: float) -> Any:
        said.set()
        return flush(box, source, timeout)

    def ends() -> None:
        exporter._destinations.wake(run.kept)  # noqa: SLF001  as the heartbeat does
        assert asked.wait(10)
        last_steps()

    run.record({"loss": 0.5}, epoch=0)
    eventually(lambda: memory.pages)
    monkeypatch.setattr(Turns, "_is_shown", asks)
    monkeypatch.setattr(outbox.Outbox, "flush", waits)
    monkeypatch.setattr(run, "_record_last_steps", ends)
    run.finish()
    assert asked.is_set()
    assert states(memory)[-1] == "finished"


def test_one_look_that_errs_ends_no_run(memory: MemorySink, heartbeats: None) -> None:
    looks = 0

    def alive() -> bool:
        nonlocal looks
        looks += 1
        return looks % 3 == 0

    with gangplank.run("memory", "digits", sink=memory) as run:
        run.start(alive=alive)
        eventually(lambda: looks > 10)
        assert run.open
    assert states(memory)[-1] == "finished"


def test_alive_is_called_with_each_heartbeat_and_not_for_news(
    memory: MemorySink, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []

    def alive() -> bool:
        looks.append(threading.current_thread().name)
        return True

    with gangplank.run("memory", "digits", sink=memory, ignore_exceptions=False) as run:
        run.start(alive=alive)
        run.record({"loss": 0.5}, epoch=0)
        assert looks == []
        monkeypatch.setattr(outbox, "HEARTBEAT", 0.02)
        run.record({"loss": 0.25}, epoch=1)
        eventually(lambda: len(looks) >= 3)
    assert set(looks) == {"gangplank-outbox"}


def test_an_alive_that_raises_keeps_no_page_back(
    memory: MemorySink, heartbeats: None, caplog: pytest.LogCaptureFixture
) -> None:
    def alive() -> bool:
        raise ZeroDivisionError

    with gangplank.run("memory", "digits", sink=memory) as run:
        run.start(alive=alive)
        before = len(memory.pages)
        eventually(lambda: len(memory.pages) > before + 3)
        assert run.open
    assert states(memory)[-1] == "finished"
    assert "checking whether the training goes on failed: ZeroDivisionError" in caplog.text
    assert memory.value("gangplank_run_export_failures_total", reason="internal") == 0
