"""Where the time of a run goes."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as some

import gangplank
from gangplank.core.recording import activities
from gangplank.core.recording.activities import ACTIVITIES, Activities
from gangplank.testing import MemorySink


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(activities, "time", clock)
    return clock


@hypothesis.given(some.lists(some.tuples(some.sampled_from(ACTIVITIES), some.integers(0, 9)), max_size=20))
def test_the_seconds_add_up_and_none_decreases(what: Sequence[tuple[str, int]]) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(activities, "time", clock)
        counted, seen = Activities(), [dict.fromkeys(ACTIVITIES, 0.0)]
        for activity, seconds in what:
            counted.begin(activity)
            clock.now += seconds
            seen.append(dict(counted.seconds()))
    assert sum(seen[-1].values()) == clock.now - 100
    for before, after in itertools.pairwise(seen):
        assert all(before[activity] <= after[activity] for activity in ACTIVITIES)


def seconds(memory: MemorySink) -> dict[str, float]:
    """Return the activities that took any time."""
    each = {name: memory.value("gangplank_run_activity_seconds_total", activity=name) for name in ACTIVITIES}
    assert sum(number or 0 for number in each.values()) == memory.value("gangplank_train_elapsed_time_seconds")
    return {name: number for name, number in each.items() if number}


@pytest.fixture
def memory() -> MemorySink:
    return MemorySink()


def training(
    memory: MemorySink, phase: str = "train", *, lenient: bool = False, each: int | str = "epoch"
) -> gangplank.Run:
    return gangplank.run("memory", "digits", phase, sink=memory, ignore_exceptions=lenient, update_freq=each)


def test_a_loop_by_steps_starts_up_until_its_first_step_has_ended(memory: MemorySink, clock: Clock) -> None:
    with training(memory, each="batch") as run:
        run.start(steps=2)
        clock.now += 7
        run.step({"loss": 1.0}, step=1)
        clock.now += 2
        with run.activity("validate"):
            clock.now += 3
        with run.activity("checkpoint"):
            clock.now += 4
            run.checkpoint()
        run.step({"loss": 1.0}, step=2)
        clock.now += 1
    assert seconds(memory) == {"startup": 7, "train": 3, "validate": 3, "checkpoint": 4}


def test_in_a_loop_by_epochs_an_epoch_is_training(memory: MemorySink, clock: Clock) -> None:
    with training(memory) as run:
        run.start()
        clock.now += 1
        for _ in run.epochs(2):
            clock.now += 5
            with run.activity("data_wait"):
                clock.now += 2
            run.record({"loss": 1.0})
    assert seconds(memory) == {"startup": 1, "train": 10, "data_wait": 4}


def test_a_log_of_a_step_ends_the_startup(memory: MemorySink, clock: Clock) -> None:
    with training(memory) as run:
        run.start(steps=9)
        clock.now += 5
        run.record({"loss": 1.0}, step=1)
        clock.now += 2
    assert seconds(memory) == {"startup": 5, "train": 2}


def test_while_nothing_is_new_a_page_counts_what_goes_on(memory: MemorySink, clock: Clock) -> None:
    with training(memory) as run:
        run.start()
        run.begin_activity("validate")
        clock.now += 90
        run.record({"loss": 1.0}, step=1)
        run.checkpoint()
        clock.now += 30
        run.record(epoch=0)
        assert seconds(memory) == {"validate": 120}


def test_each_activity_is_there_from_the_start_in_a_training_only(memory: MemorySink) -> None:
    run = training(memory)
    run.start()
    shown = [memory.value("gangplank_run_activity_seconds_total", activity=name) for name in ACTIVITIES]
    assert None not in shown
    run.finish()
    with training(memory, "test"):
        assert memory.value("gangplank_run_activity_seconds_total", activity="train") is None


def test_an_activity_that_does_not_exist_is_refused_or_logged(
    memory: MemorySink, caplog: pytest.LogCaptureFixture
) -> None:
    with training(memory, lenient=True) as run:
        run.start()
        with run.activity("validation"):
            assert run.activities.current == "startup"
    assert "'validation': give one of startup, train" in caplog.text
    with (
        pytest.raises(gangplank.ConfigurationError, match="validation"),
        training(memory) as strict,
        strict.activity("validation"),
    ):
        pass


def test_a_step_that_ends_inside_a_block_ends_the_startup(memory: MemorySink, clock: Clock) -> None:
    with training(memory) as run:
        run.start(steps=10)
        clock.now += 1
        for step in range(3):
            with run.activity("validate"):
                clock.now += 2
                run.record({"accuracy": 1.0}, step=step)
            clock.now += 4
    assert seconds(memory) == {"startup": 1, "validate": 6, "train": 12}


def test_what_another_thread_does_is_not_where_the_time_goes(memory: MemorySink, clock: Clock) -> None:
    with training(memory) as run:
        run.record({"loss": 1.0}, step=1)

        def save() -> None:
            with run.activity("checkpoint"):
                began.set()
                saved.wait(10)

        began, saved = threading.Event(), threading.Event()
        thread = threading.Thread(target=save)
        thread.start()
        began.wait(10)
        with run.activity("validate"):
            clock.now += 2
        saved.set()
        thread.join()
        clock.now += 3
    assert seconds(memory) == {"validate": 2, "train": 3}


def test_no_counter_decreases_while_pages_are_made() -> None:
    counted, over = Activities(), threading.Event()
    seen: list[Mapping[str, float]] = []

    def look() -> None:
        while not over.is_set():
            seen.append(counted.seconds())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        looking = threading.Thread(target=look)
        looking.start()
        while len(seen) < 5_000:
            counted.begin("data_wait")
            counted.begin("train")
        over.set()
        looking.join()
    finally:
        sys.setswitchinterval(interval)
    for before, after in itertools.pairwise(seen):
        assert all(before[activity] <= after[activity] for activity in ACTIVITIES)


def test_an_activity_may_begin_before_the_run(memory: MemorySink, clock: Clock) -> None:
    with training(memory) as run:
        run.begin_activity("validate")
        clock.now += 5
        run.start()
        clock.now += 2
    assert seconds(memory) == {"validate": 2}


def test_a_name_that_cannot_be_compared_raises_nothing(memory: MemorySink, caplog: pytest.LogCaptureFixture) -> None:
    name: Any = np.array([1, 2])
    with training(memory, lenient=True) as run:
        run.begin_activity(name)
        with run.activity(name):
            pass
    assert "beginning an activity failed" in caplog.text


def test_an_exception_in_a_block_passes(memory: MemorySink) -> None:
    with training(memory) as run:
        run.start()
        with pytest.raises(ZeroDivisionError), run.activity("validate"):
            raise ZeroDivisionError
        assert run.activities.current == "startup"
