"""Steps: counted exactly, from any thread and in any order; pushed at most every interval."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import hypothesis
import hypothesis.strategies as some
import numpy as np
import pytest

import gangplank
from gangplank import ConfigurationError, Run
from gangplank.core.recording.steps import DURATION_EDGES, Steps
from gangplank.testing import MemorySink
from support.reading import eventually


@pytest.fixture
def memory() -> MemorySink:
    return MemorySink()


def training(memory: MemorySink, **options: Any) -> Run:
    return gangplank.run("memory", "digits", sink=memory, **{"update_freq": "batch", **options})


@hypothesis.given(some.lists(some.floats(0, 100), min_size=1, max_size=50))
def test_every_duration_is_counted_in_its_bucket(durations: Sequence[float]) -> None:
    steps = Steps(None, 15)
    for duration in durations:
        steps.note(None, None, duration, None, None, "")
    times = steps.times()
    assert times is not None
    counts = [0] * (len(DURATION_EDGES) + 1)
    for duration in durations:
        counts[bisect_left(DURATION_EDGES, duration)] += 1
    assert times.counts == tuple(counts)
    assert times.seconds == pytest.approx(sum(durations))


def test_the_histogram_is_cumulative_and_its_edges_are_inclusive(memory: MemorySink) -> None:
    with training(memory) as run:
        run.start()
        for duration in (0.001, 0.0010001, 60.0, 60.1):
            run.step(duration=duration)
        run.record(epoch=0)
    name = "gangplank_run_step_duration_seconds"
    assert memory.value(f"{name}_bucket", le="0.001") == 1
    assert memory.value(f"{name}_bucket", le="0.0025") == 2
    assert memory.value(f"{name}_bucket", le="60") == 3
    assert memory.value(f"{name}_bucket", le="+Inf") == 4
    assert memory.value(f"{name}_count") == 4
    assert memory.value(f"{name}_sum") == pytest.approx(120.1020001)


def test_what_nobody_says_has_no_family(memory: MemorySink) -> None:
    with training(memory) as run:
        run.record({"loss": 1}, epoch=0)
    assert not [family.name for family in memory.pages[-1].collect() if "step" in family.name and family.samples]


def test_waiting_and_forward_times_add_up(memory: MemorySink) -> None:
    with training(memory) as run:
        run.start()
        run.step(data_wait=0.25, forward=0.5)
        run.step(data_wait=0.25)
    assert memory.value("gangplank_run_data_wait_seconds_total") == 0.5
    assert memory.value("gangplank_run_forward_seconds_total") == 0.5


@hypothesis.given(some.permutations(range(1, 7)))
def test_of_steps_out_of_order_the_highest_stays(order: Sequence[int]) -> None:
    steps = Steps(1, 15)
    for step in order:
        steps.note({"loss": step}, step, None, None, None, "")
    assert steps.position == 6
    assert steps.newest() == ({"loss": 6}, "", {}, 6)


@pytest.mark.parametrize(("calls", "taken"), [([3, 7, 11], [3, 7, 11]), ([1, 2, 3, 4, 5, 9], [1, 5, 9])])
def test_of_every_fourth_those_are_taken_that_are_due(calls: list[int], taken: list[int]) -> None:
    steps = Steps(4, 15)
    seen = []
    for step in calls:
        steps.note({"loss": step}, step, None, None, None, "")
        seen.append(steps.newest()[0].get("loss"))
    assert [step for step in seen if step is not None] == taken


def test_threads_lose_no_step() -> None:
    steps = Steps(1, 15)
    numbers = itertools.count(1)

    def note() -> None:
        for _ in range(1000):
            steps.note({}, next(numbers), 0.01, None, None, "")

    threads = [threading.Thread(target=note) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = steps.times()
    assert times is not None
    assert sum(times.counts) == steps.position == 4000


def test_a_step_is_in_a_layer_of_its_own(memory: MemorySink) -> None:
    with training(memory, push_interval=0) as run:
        run.start(epochs=2)
        run.step({"loss": 3.0}, step=1, prefix="batch_")
        run.record({"loss": 2.0}, epoch=0, step=10)
        run.step({"loss": 1.0}, step=11, prefix="batch_")
        eventually(lambda: memory.value("gangplank_train_batch_loss") == 1.0)
        assert memory.value("gangplank_train_loss") == 2.0
        assert memory.value("gangplank_run_metric_epoch", metric="loss") == 1
        assert memory.value("gangplank_run_metric_epoch", metric="batch_loss") is None
        assert memory.value("gangplank_run_step") == 11
        assert memory.value("gangplank_run_epoch") == 1


def test_steps_are_pushed_at_most_every_interval(memory: MemorySink) -> None:
    with training(memory, push_interval=0.2, flush_timeout=5) as run:
        run.start()
        start = time.monotonic()
        step = 0
        while time.monotonic() < start + 0.5:
            run.step({"loss": float(step)}, step=(step := step + 1))
    assert step > 1000
    assert len(memory.pages) <= 6  # start, some of the steps, finish


def test_by_epoch_no_step_is_exported_and_its_time_is(memory: MemorySink) -> None:
    with training(memory, update_freq="epoch", push_interval=0) as run:
        run.start()
        run.step({"loss": object()}, step=1, duration=0.5, prefix="batch_")
    assert memory.value("gangplank_run_step_duration_seconds_count") == 1
    assert memory.value("gangplank_train_batch_loss") is None
    assert memory.value("gangplank_run_dropped_metrics_total", reason="not_numeric") == 0


def test_a_run_that_is_not_open_notes_nothing(memory: MemorySink) -> None:
    run = training(memory)
    run.start()
    run.finish()
    run.step({"loss": 1}, step=1)
    assert memory.value("gangplank_run_step") is None


def test_metrics_that_are_none_cost_no_step(memory: MemorySink, caplog: pytest.LogCaptureFixture) -> None:
    with training(memory, push_interval=0, metrics=["loss"]) as run:
        run.start()
        for step in range(5):
            run.step({"loss": "text", "other": 3}, step=step, duration=0.1)
    assert memory.value("gangplank_run_step_duration_seconds_count") == 5
    assert caplog.text.count("is not exported") == 1


@pytest.mark.parametrize("update_freq", ["epochs", 0, -1, True, 1.5, None])
def test_a_frequency_that_is_none_is_refused(update_freq: Any) -> None:
    with pytest.raises(ConfigurationError, match='give "epoch" for epochs only'):
        gangplank.run("gateway:9091", "digits", update_freq=update_freq)


def test_a_step_starts_the_run(memory: MemorySink) -> None:
    with training(memory) as run:
        run.step({"loss": 2.0}, step=1)
    assert memory.value("gangplank_train_batch_loss") == 2


def test_an_epoch_says_last_what_its_steps_said(memory: MemorySink) -> None:
    with training(memory) as run:
        run.start()
        for step in range(5):
            run.step({"loss": float(step)}, step=step)
        run.record({"loss": 0.5}, epoch=0, step=100)
    assert memory.value("gangplank_run_step") == 100
    assert memory.value("gangplank_train_loss") == 0.5
    assert memory.value("gangplank_train_batch_loss") == 4


def test_what_is_recorded_among_steps_is_shown_at_once_unless_it_is_of_a_step(memory: MemorySink) -> None:
    with training(memory, ignore_exceptions=False) as run:
        run.step({"loss": 2.0}, step=1, duration=0.1)
        run.record({"checked": 3.0})
        assert memory.value("gangplank_train_checked") == 3
        run.record({"checked": 4.0}, step=1)
        assert memory.value("gangplank_train_checked") == 3
    assert memory.value("gangplank_train_checked") == 4


def test_a_step_that_comes_late_moves_nothing_back(memory: MemorySink) -> None:
    with training(memory) as run:
        run.record({"loss": 1.0}, step=1200)
        run.step({"loss": 2.0}, step=1150, duration=0.1)
    assert memory.value("gangplank_run_step") == 1200


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -1.0])
def test_what_cannot_be_a_duration_is_not_counted(memory: MemorySink, wrong: float) -> None:
    with training(memory) as run:
        run.step(duration=wrong, data_wait=wrong, forward=wrong)
        run.step(duration=2.0, data_wait=3.0, forward=4.0)
    assert memory.value("gangplank_run_step_duration_seconds_sum") == 2
    assert memory.value("gangplank_run_step_duration_seconds_count") == 1
    assert memory.value("gangplank_run_data_wait_seconds_total") == 3
    assert memory.value("gangplank_run_forward_seconds_total") == 4


def test_steps_of_several_threads_are_all_in_the_last_page() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(40):
            memory = MemorySink()
            run = gangplank.run("memory", "a", sink=memory, update_freq=1, push_interval=0)

            def note(run: gangplank.Run = run) -> None:
                for step in range(60):
                    run.step({"loss": float(step)}, step=step, duration=0.01)

            threads = [threading.Thread(target=note) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            run.finish()
            counts = [sum(page.newest.step_times.counts) for page in memory.pages if page.newest.step_times]
            assert counts == sorted(counts)
            assert counts[-1] == 240
    finally:
        sys.setswitchinterval(interval)


def test_a_signal_in_the_middle_of_a_step_may_end_the_run(memory: MemorySink) -> None:
    run = training(memory)
    run.start()
    with run._recorder.steps._lock:  # noqa: SLF001  where the signal's handler finds the thread
        run.finish()
    assert memory.value("gangplank_run_state", state="finished") == 1


def test_what_is_no_duration_costs_its_step_and_nothing_else(
    memory: MemorySink, caplog: pytest.LogCaptureFixture
) -> None:
    duration: Any
    with training(memory, push_interval=3600) as run:
        run.step(duration=0.1)
        for duration in ("long", [1.0]):
            run.step(duration=duration)
        for duration in (1, np.float32(0.5), Fraction(1, 4)):
            run.step(duration=duration)
        run.record({"loss": 0.5}, epoch=0)
    assert memory.value("gangplank_run_step_duration_seconds_count") == 4
    assert memory.value("gangplank_run_step_duration_seconds_sum") == 1.85
    assert memory.value("gangplank_train_loss") == 0.5
    assert "noting a step failed" in caplog.text


def test_steps_that_nobody_asks_for_are_counted_by_and_by(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1.0
    monkeypatch.setattr("gangplank.core.recording.steps.time.monotonic", lambda: now)
    steps = Steps(1, 3600)
    pushed = 0
    for step in range(10_000):
        now += 0.01
        pushed += steps.note({}, step, 0.01, None, None, "")
        assert len(steps._noted) <= 60  # noqa: SLF001  what waits to be counted
    assert pushed == 1
    times = steps.times()
    assert times is not None
    assert sum(times.counts) == 10_000


def test_steps_that_counted_too_far_go_on_where_the_epoch_ends() -> None:
    steps = Steps(2, 15)
    for step in range(1, 10):
        steps.note({"loss": step}, step, None, None, None, "")
    steps.epoch_has_ended(4)
    steps.newest()
    steps.note({"loss": 0.5}, 5, None, None, None, "")
    assert steps.newest()[0] == {"loss": 0.5}
    assert steps.position == 5
