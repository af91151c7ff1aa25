"""The ways in which people really train with Lightning: they catch, repeat, nest and thread."""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from gangplank.core.delivery import outbox
from gangplank.lightning import TrainTestExporter
from gangplank.testing import MemorySink
from support.ended import Shown, runs
from support.lightning_model import WARNINGS, data, each_package, module, trainer
from support.reading import eventually

pytestmark = WARNINGS


def calls(pl: Any, call: Callable[[], object], *, epoch: int = 1) -> Any:
    """Return a callback that calls something at the beginning of an epoch."""

    class Calls(pl.Callback):  # type: ignore[misc]
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            if trainer.current_epoch == epoch:
                call()

    return Calls()


def fails() -> None:
    raise ValueError("mine")


@pytest.fixture
def memory() -> MemorySink:
    return MemorySink()


@pytest.fixture
def callback(memory: MemorySink) -> TrainTestExporter:
    return TrainTestExporter("memory", "digits", sink=memory)


@each_package()
@pytest.mark.parametrize("again", ["the same trainer", "another trainer"])
def test_a_fit_that_is_caught_and_begun_again_are_two_runs(
    memory: MemorySink, callback: TrainTestExporter, pl: Any, again: str
) -> None:
    stops = [True]

    def once() -> None:
        if stops:
            stops.pop()
            fails()

    first = trainer(calls(pl, once), callback, pl=pl, max_epochs=5)
    with contextlib.suppress(ValueError):
        first.fit(module(pl), data())
    if again == "the same trainer":
        first.fit(module(pl), data())
        assert runs(memory) == [Shown("failed", 1, 5), Shown("finished", 5, 5)]
    else:
        trainer(callback, pl=pl, max_epochs=3).fit(module(pl), data())
        assert runs(memory) == [Shown("failed", 1, 5), Shown("finished", 3, 3)]


@each_package()
def test_a_trainer_inside_a_trainers_callback_keeps_to_itself(
    memory: MemorySink, callback: TrainTestExporter, pl: Any
) -> None:
    inner = trainer(callback, pl=pl, max_epochs=7)
    outer = trainer(calls(pl, lambda: inner.fit(module(pl), data())), callback, pl=pl, max_epochs=4)
    outer.fit(module(pl), data())
    assert runs(memory) == [Shown("finished", 4, 4), Shown("finished", 7, 7)]
    assert memory.pages[-1].newest.epoch == 4, "the outer one ends last, and is shown last"
    assert outer.global_step == memory.pages[-1].newest.step


@each_package()
@pytest.mark.parametrize("phase", ["validate", "test", "predict"])
def test_an_evaluation_by_another_trainer_inside_a_fit_is_a_run_of_its_own(
    memory: MemorySink, callback: TrainTestExporter, pl: Any, phase: str
) -> None:
    inner = trainer(callback, pl=pl)
    evaluates = calls(pl, lambda: getattr(inner, phase)(module(pl), data()))
    trainer(evaluates, callback, pl=pl, max_epochs=3).fit(module(pl), data())
    assert runs(memory) == [Shown("finished", 3, 3)]
    assert [one.state for one in runs(memory, phase)] == ["finished"]


@each_package()
def test_an_inner_fit_that_fails_ends_no_outer_one(memory: MemorySink, callback: TrainTestExporter, pl: Any) -> None:
    def caught() -> None:
        with contextlib.suppress(ValueError):
            trainer(calls(pl, fails), callback, pl=pl, max_epochs=5).fit(module(pl), data())

    trainer(calls(pl, caught), callback, pl=pl, max_epochs=4).fit(module(pl), data())
    assert runs(memory) == [Shown("finished", 4, 4), Shown("failed", 1, 5)]


@each_package()
def test_two_threads_may_fit_with_one_exporter(memory: MemorySink, callback: TrainTestExporter, pl: Any) -> None:
    both, first_has_ended = threading.Barrier(2), threading.Event()

    def fits(epochs: int) -> None:
        waits = calls(pl, lambda: both.wait(60))
        # The longer one goes on when the other has ended: otherwise either might replace the last page of the other.
        waits_again = calls(pl, lambda: first_has_ended.wait(60), epoch=3)
        trainer(waits, waits_again, callback, pl=pl, max_epochs=epochs).fit(module(pl), data())
        first_has_ended.set()

    threads = [threading.Thread(target=fits, args=(epochs,)) for epochs in (3, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(runs(memory)) == [Shown("finished", 3, 3), Shown("finished", 30, 30)]


@each_package()
def test_a_fit_whose_end_another_callback_hides_from_us_shows_as_failed_at_the_heartbeat(
    memory: MemorySink, callback: TrainTestExporter, pl: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "HEARTBEAT", 0.05)

    class Hides(pl.Callback):  # type: ignore[misc]
        def on_exception(self, *_: Any) -> None:
            raise OSError("from a hook for exceptions")

    kept = trainer(Hides(), calls(pl, fails), callback, pl=pl, max_epochs=5)
    with pytest.raises(OSError, match="from a hook"):
        kept.fit(module(pl), data())
    eventually(lambda: [one.state for one in runs(memory)] == ["failed"])


def test_a_fit_keeps_nothing_alive_and_leaves_nothing_behind(callback: TrainTestExporter) -> None:
    trained = trainer(callback, max_epochs=1)
    trained.fit(module(), data())
    trained.test(module(), data())
    assert not callback.calls
    gone = weakref.ref(trained)
    del trained
    for name in ("log", "log_dict"):  # which Lightning sets, and which belong to the module
        callback.__dict__.pop(name, None)
    gc.collect()
    assert gone() is None
