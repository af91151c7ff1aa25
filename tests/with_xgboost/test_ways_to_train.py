"""The ways in which people really train with XGBoost: they catch, repeat, nest and thread."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
import xgboost

from gangplank.core.delivery import outbox
from gangplank.testing import MemorySink
from gangplank.xgboost import TrainTestExporter
from support.boosting import PARAMS, Calls, exporter, matrix, train
from support.ended import Shown, runs
from support.reading import eventually, value
from support.servers import Server


def fails() -> None:
    raise ValueError("mine")


@pytest.fixture
def callback(memory: MemorySink) -> TrainTestExporter:
    return TrainTestExporter("memory", "churn", sink=memory)


def test_trainings_that_follow_each_other_are_runs_of_their_own(memory: MemorySink) -> None:
    callback = exporter(memory)
    train(3, callback)
    xgboost.cv(PARAMS, matrix(), 2, callbacks=[callback])
    booster = train(4, callback)
    train(2, callback, xgb_model=booster)
    assert runs(memory) == [Shown("finished", count, count) for count in (3, 2, 4, 6)]


@pytest.mark.parametrize("how", ["train", "cv"])
def test_a_training_that_is_caught_and_begun_again_are_two_runs(
    memory: MemorySink, callback: TrainTestExporter, how: str
) -> None:
    with contextlib.suppress(ValueError):
        if how == "train":
            train(5, callback, Calls(fails))
        else:
            xgboost.cv(PARAMS, matrix(), 5, callbacks=[callback, Calls(fails)])
    eventually(lambda: runs(memory) == [Shown("failed", 2, 5)])
    train(3, callback)
    assert runs(memory) == [Shown("failed", 2, 5), Shown("finished", 3, 3)]


def test_an_exception_in_front_of_the_exporter_costs_only_its_round(
    memory: MemorySink, callback: TrainTestExporter
) -> None:
    with contextlib.suppress(ValueError), callback:
        train(5, Calls(fails, epoch=2), callback)
    assert runs(memory) == [Shown("failed", 2, 5)]


def test_a_kept_exception_shows_as_failed_when_the_next_training_begins(
    memory: MemorySink, callback: TrainTestExporter
) -> None:
    with pytest.raises(ValueError, match="mine") as kept:
        train(5, callback, Calls(fails))
    assert len(callback.calls) == 1
    train(3, callback)
    assert runs(memory) == [Shown("failed", 2, 5), Shown("finished", 3, 3)]
    assert kept.tb


def test_a_kept_exception_shows_as_failed_at_the_heartbeat(
    memory: MemorySink, callback: TrainTestExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "HEARTBEAT", 0.05)
    with pytest.raises(ValueError, match="mine") as kept:
        train(5, callback, Calls(fails))
    eventually(lambda: [one.state for one in runs(memory)] == ["failed"])
    assert kept.tb


def test_a_with_block_shows_an_interrupt(memory: MemorySink, callback: TrainTestExporter) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt), callback:
        train(5, callback, Calls(interrupted))
    assert runs(memory) == [Shown("interrupted", 2, 5)]


@pytest.mark.parametrize("before", [True, False])
def test_a_training_inside_a_training_keeps_to_itself(memory: MemorySink, before: bool) -> None:
    callback = exporter(memory)
    train(4, callback, Calls(lambda: train(7, callback) and None, before=before))
    assert runs(memory) == [Shown("finished", 4, 4), Shown("finished", 7, 7)]
    assert memory.pages[-1].newest.epoch == 4, "the outer one ends last, and is shown last"


def test_an_inner_training_that_fails_ends_no_outer_one(memory: MemorySink, callback: TrainTestExporter) -> None:
    def caught() -> None:
        with contextlib.suppress(ValueError):
            train(5, callback, Calls(fails))
        eventually(lambda: runs(memory)[-1] == Shown("failed", 2, 5))  # before the outer one replaces that page

    train(4, callback, Calls(caught))
    assert runs(memory) == [Shown("finished", 4, 4), Shown("failed", 2, 5)]


def test_two_threads_may_train_with_one_exporter(memory: MemorySink, callback: TrainTestExporter) -> None:
    both, shorter_has_ended = threading.Barrier(2), threading.Event()

    def trains(rounds: int) -> None:
        def meets() -> None:
            both.wait(60)
            if rounds > 3:  # otherwise either might replace the last page of the other
                shorter_has_ended.wait(60)

        train(rounds, Calls(meets), callback)
        shorter_has_ended.set()

    threads = [threading.Thread(target=trains, args=(rounds,)) for rounds in (3, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(runs(memory)) == [Shown("finished", 3, 3), Shown("finished", 30, 30)]


def test_a_training_keeps_nothing_alive_and_leaves_nothing_behind(callback: TrainTestExporter) -> None:
    containers: list[weakref.ref[Any]] = []

    def note() -> None:
        containers.extend(callback.calls.keyrefs())

    booster = weakref.ref(train(2, callback, Calls(note)))
    with contextlib.suppress(ValueError):
        train(2, callback, Calls(note), Calls(fails))
    gc.collect()
    assert len(containers) == 2
    assert [gone() for gone in (booster, *containers)] == [None] * 3
    assert not callback.calls


def test_a_script_that_raises_leaves_failed(gateway: Server) -> None:
    script = (
        "import sys; from support.boosting import *\n"
        "train(5, TrainTestExporter(sys.argv[1], 'churn'), Calls(lambda: 1 / 0))"
    )
    command = [sys.executable, "-c", script, gateway.address]
    here = Path(__file__).parents[1]
    ended = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False, timeout=60)
    assert "ZeroDivisionError" in ended.stderr
    assert value(gateway, "gangplank_run_state", state="failed") == 1
    assert value(gateway, "gangplank_run_epoch") == 2


def test_a_disabled_exporter_exports_nothing(memory: MemorySink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANGPLANK_DISABLED", "1")
    train(2, exporter(memory))
    assert memory.pages == []
