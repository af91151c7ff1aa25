"""The neutral run against a real Pushgateway."""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import gangplank
from gangplank import ExportError
from gangplank.core.labels import PHASES
from gangplank.testing import MemorySink
from support.reading import eventually, samples, value
from support.runs import EDGES, WEIGHTS, finish_two_epochs, trained
from support.servers import Server, find


def test_a_finished_run_shows_everything_that_was_recorded(gateway: Server) -> None:
    before = time.time()
    trained(gateway)
    expected = {
        "gangplank_train_loss": 0.375,
        "gangplank_train_accuracy": float(np.float32(0.1)),
        "gangplank_train_learning_rate": 0.01,
        "gangplank_train_model_weights_nonfinite": 2,
        "gangplank_train_model_weights_sum": -0.5 + float(np.float32(0.1)) + 0.25,
        "gangplank_train_model_weights_count": 4,
        "gangplank_run_epoch": 2,
        "gangplank_run_epochs_planned": 2,
        "gangplank_run_step": 20,
        "gangplank_run_nonfinite_metrics": 0,
    }
    assert {name: value(gateway, name, phase="train", job="digits") for name in expected} == expected
    text = gateway.metrics()
    assert {s.labels["trainable"]: s.value for s in samples(text, "gangplank_train_model_parameters")} == {
        "true": 6,
        "false": 2,
    }
    assert {float(s.labels["le"]): s.value for s in samples(text, "gangplank_train_model_weights_bucket")} == {
        -0.3: 1,
        0.0: 2,
        0.3: 4,
        float("inf"): 4,
    }
    assert {s.labels["state"]: s.value for s in samples(text, "gangplank_run_state")} == {
        "running": 0,
        "finished": 1,
        "failed": 0,
        "interrupted": 0,
    }
    assert {s.labels["metric"]: s.value for s in samples(text, "gangplank_run_metric_epoch")} == {
        "loss": 2,
        "accuracy": 2,
    }
    for counter in ("gangplank_run_export_failures_total", "gangplank_run_dropped_metrics_total"):
        assert {s.value for s in samples(text, counter)} == {0}
    times = [
        value(gateway, f"gangplank_run_{name}_timestamp_seconds") or 0
        for name in ("start", "last_update", "heartbeat", "last_success")
    ]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= time.time()
    elapsed = value(gateway, "gangplank_train_elapsed_time_seconds") or 0
    duration = value(gateway, "gangplank_run_epoch_duration_seconds") or 0
    assert 0 < duration < elapsed <= times[-1] - before
    assert value(gateway, "gangplank_run_samples_per_second") == pytest.approx(320 / duration)


def test_promtool_accepts_all_of_it(gateway: Server) -> None:
    with trained(gateway).run("test") as run:
        run.record({"loss": 1.5}, parameters=(6, 2), weights=WEIGHTS)
    linted = subprocess.run(
        [find("promtool"), "check", "metrics"], input=gateway.metrics(), text=True, capture_output=True, check=False
    )
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")


def test_a_run_shows_as_running_from_its_start_with_what_is_planned(gateway: Server) -> None:
    run = gangplank.run(gateway.address, "digits")
    run.start(epochs=20, epoch=3)
    eventually(lambda: value(gateway, "gangplank_run_state", state="running") == 1)
    assert value(gateway, "gangplank_run_epochs_planned") == 20
    assert value(gateway, "gangplank_run_epoch") == 3
    assert value(gateway, "gangplank_run_last_success_timestamp_seconds") is None
    run.finish()


def test_steps_that_are_planned_and_done_before_are_shown_from_the_start() -> None:
    memory = MemorySink()
    with gangplank.run("memory", "digits", sink=memory, ignore_exceptions=False) as run:
        run.start(steps=5000, step=1200)
        expected = {"steps_planned": 5000, "resumed_from_step": 1200, "step": 1200}
        assert {name: memory.value(f"gangplank_run_{name}") for name in expected} == expected
    with gangplank.run("memory", "digits", sink=memory, ignore_exceptions=False) as run:
        run.start(steps=5000)
        assert memory.value("gangplank_run_resumed_from_step") == 0
    with gangplank.run("memory", "digits", sink=memory, ignore_exceptions=False) as run:
        run.start(epochs=5)
        assert {memory.value(f"gangplank_run_{name}") for name in expected} == {None}


def test_a_start_with_every_epoch_leaves_the_step_that_the_run_began_with() -> None:
    memory = MemorySink()
    with gangplank.run("memory", "digits", sink=memory, ignore_exceptions=False) as run:
        for epoch in range(2):
            run.start(epochs=2, epoch=epoch, steps=6, step=3 * epoch)
            run.record({"loss": 1.0}, epoch=epoch, step=3 * epoch + 3)
    assert {page.newest.resumed_from_step for page in memory.pages} == {0}


def test_a_late_start_fills_in_the_steps_and_moves_nothing_back() -> None:
    memory = MemorySink()
    with gangplank.run("memory", "digits", sink=memory, ignore_exceptions=False) as run:
        run.record({"loss": 1.0}, step=1300)
        run.start(steps=5000, step=1200)
        expected = {"steps_planned": 5000, "resumed_from_step": 1200, "step": 1300}
        assert {name: memory.value(f"gangplank_run_{name}") for name in expected} == expected
        run.start(steps=4000, step=1100)
        expected |= {"steps_planned": 4000}
        assert {name: memory.value(f"gangplank_run_{name}") for name in expected} == expected


def test_records_of_steps_are_pushed_at_the_interval_and_say_their_step() -> None:
    memory = MemorySink()
    with gangplank.run("memory", "digits", sink=memory, push_interval=0.5, flush_timeout=10) as run:
        run.start(steps=100)
        began = time.monotonic()
        for step in range(1, 101):
            run.record({"loss": 1 / step}, step=step)
            time.sleep(0.01)
        took = time.monotonic() - began
    assert 3 <= len(memory.pages) <= 3 + took / 0.5
    assert memory.value("gangplank_train_loss") == 0.01
    assert memory.value("gangplank_run_step") == 100
    assert memory.value("gangplank_run_metric_step", metric="loss") == 100
    assert memory.value("gangplank_run_metric_epoch", metric="loss") is None


def test_a_metric_is_from_an_epoch_or_from_a_step() -> None:
    memory = MemorySink()
    with gangplank.run("memory", "digits", sink=memory, ignore_exceptions=False) as run:
        for epoch in run.epochs(1):
            run.record({"loss": 1.0}, epoch=epoch, step=10)
        run.record({"f1": 1.0}, step=11)
        run.record({"later": 1.0})
    places = {
        family.name: {sample.labels["metric"]: sample.value for sample in family.samples}
        for family in memory.pages[-1].collect()
        if family.name.startswith("gangplank_run_metric_")
    }
    assert places == {"gangplank_run_metric_epoch": {"loss": 1, "later": 1}, "gangplank_run_metric_step": {"f1": 11}}


def test_a_checkpoint_shows_its_time_and_its_step() -> None:
    memory = MemorySink()
    with gangplank.run("memory", "digits", sink=memory, ignore_exceptions=False, push_interval=0) as run:
        run.checkpoint()  # nothing has started
        run.start(steps=20)
        before = time.time()
        run.record({"loss": 1.0}, step=10)
        run.checkpoint()
        run.record({"loss": 1.0}, epoch=0)
        assert before <= (memory.value("gangplank_run_checkpoint_timestamp_seconds") or 0) <= time.time()
        assert memory.value("gangplank_run_checkpoint_step") == 10
        run.checkpoint(step=8)
    assert memory.value("gangplank_run_checkpoint_step") == 8


@pytest.mark.parametrize("wrong", ["many", float("nan"), 10**400, 1 + 2j, [3]])
@pytest.mark.parametrize("argument", ["epochs", "epoch", "steps", "step", "rank"])
def test_a_position_that_is_no_number_costs_nothing_else(
    argument: str, wrong: Any, caplog: pytest.LogCaptureFixture
) -> None:
    memory = MemorySink()
    with gangplank.run("memory", "digits", sink=memory, flush_timeout=10) as run:
        right: dict[str, Any] = {"epochs": 4, "epoch": 1, "steps": 40, "step": 10, "rank": 0}
        run.start(**{**right, argument: wrong})
        run.record({"loss": 0.5}, epoch=2)
    assert b"gangplank_run_state" in memory.pages[-1].text()
    assert memory.value("gangplank_train_loss") == 0.5
    assert memory.value("gangplank_run_epochs_planned") == (None if argument == "epochs" else 4)
    assert f"reading {argument}= failed" in caplog.text


@pytest.mark.parametrize("wrong", ["many", float("nan"), 10**400, 1 + 2j, [3]])
@pytest.mark.parametrize("argument", ["epoch", "step", "samples", "seconds"])
def test_an_argument_of_a_record_that_is_no_number_costs_nothing_else(argument: str, wrong: Any) -> None:
    memory = MemorySink()
    with gangplank.run("memory", "digits", sink=memory, flush_timeout=10) as run:
        run.start()
        run.begin_epoch()
        right: dict[str, Any] = {"epoch": 0, "step": 10, "samples": 32, "seconds": 2.0}
        run.record({"loss": 0.5}, **{**right, argument: wrong})
        run.checkpoint(wrong)
    memory.pages[-1].text()
    assert memory.value("gangplank_train_loss") == 0.5
    assert memory.value("gangplank_run_step") == (None if argument == "step" else 10)


def test_a_rank_may_be_the_text_of_an_environment_variable() -> None:
    memory = MemorySink()
    with gangplank.run("memory", "digits", sink=memory) as run:
        rank: Any = "3"
        run.start(epochs=4, rank=rank)
    assert not memory.pages


def test_a_checkpoint_after_a_resume_is_of_the_step_that_it_resumed_from() -> None:
    memory = MemorySink()
    with gangplank.run("memory", "digits", sink=memory) as run:
        run.start(steps=2000, step=1000)
        run.checkpoint()
    assert memory.value("gangplank_run_checkpoint_step") == 1000


def test_a_run_whose_alive_raises_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    wrong: Any = True
    first = gangplank.run("memory", "first", sink=MemorySink())
    first.start(alive=wrong)
    memory = MemorySink()
    with gangplank.run("memory", "second", sink=memory, ignore_exceptions=False) as second:
        second.record({"loss": 0.5}, epoch=0)
    assert memory.value("gangplank_run_state", state="finished") == 1
    first.finish()


def test_a_start_that_comes_again_updates_the_planned_epochs_and_nothing_else() -> None:
    memory = MemorySink()
    run = gangplank.run("memory", "digits", sink=memory, ignore_exceptions=False)
    run.start(epoch=3)
    assert memory.value("gangplank_run_epochs_planned") is None
    assert memory.value("gangplank_run_epoch") == 3
    name = run.name
    run.start(epochs=20, epoch=7)
    assert memory.value("gangplank_run_epochs_planned") == 20
    assert memory.value("gangplank_run_epoch") == 3
    pages = len(memory.pages)
    for epochs in (20, None):  # nothing new
        run.start(epochs=epochs)
    assert len(memory.pages) == pages
    run.start(epochs=30)
    assert memory.value("gangplank_run_epochs_planned") == 30
    assert run.name == name
    run.finish()
    run.start(epochs=40)
    assert memory.value("gangplank_run_epochs_planned") == 30
    assert not run.open


@pytest.mark.parametrize("mistake", [{"epochs": "three"}, {"epochs": [3]}, {"epoch": "first"}])
def test_planned_epochs_that_are_not_a_number_lose_nothing_else(
    gateway: Server, mistake: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with gangplank.run(gateway.address, "digits") as run:
        run.start(**mistake)
        run.record({"loss": 0.5})
    assert value(gateway, "gangplank_train_loss") == 0.5
    assert value(gateway, "gangplank_run_state", state="finished") == 1
    assert value(gateway, "gangplank_run_epochs_planned") is None
    (name,) = mistake
    assert f"reading {name}= failed" in caplog.text


@pytest.mark.parametrize("recorded", [{"metrics": {"loss": 0.5}}, {"metrics": {"loss": 0.5}, "epoch": 4}])
def test_a_start_after_record_fills_in_what_was_not_known(recorded: dict[str, Any]) -> None:
    memory = MemorySink()
    run = gangplank.run("memory", "digits", sink=memory, ignore_exceptions=False)
    run.record(**recorded)
    run.start(epochs=20, epoch=3)
    assert memory.value("gangplank_run_epochs_planned") == 20
    assert memory.value("gangplank_run_epoch") == (5 if "epoch" in recorded else 3)
    assert memory.value("gangplank_train_loss") == 0.5
    run.finish()
    assert {page.labels["run"] for page in memory.pages} == {run.name}


def test_a_start_after_record_may_tell_how_to_see_that_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gangplank.core.delivery.outbox.HEARTBEAT", 0.02)
    memory = MemorySink()
    run = gangplank.run("memory", "digits", sink=memory)
    run.step({"loss": 0.5}, step=1)
    run.start(alive=lambda: False)
    eventually(lambda: memory.pages and memory.pages[-1].state == "failed")
    assert not run.open


def test_a_rank_above_0_that_comes_too_late_is_reported_and_nothing_more_is_sent(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gangplank.core.delivery.outbox.HEARTBEAT", 0.02)
    memory = MemorySink()
    exporter = gangplank.Exporter("memory", "digits", sink=memory)
    run = exporter.run()
    run.record({"loss": 0.5}, epoch=0)
    run.start(rank=0)
    eventually(lambda: memory.pages)
    assert not caplog.records
    run.start(rank=1)
    assert "rank=1 is too late, as the run has started as rank 0" in caplog.text
    eventually(lambda: not exporter._destinations._each[0].outbox._worker.alive)  # noqa: SLF001  it sends no heartbeat
    pages = len(memory.pages)
    run.record({"loss": 0.25}, epoch=1)
    run.step({"loss": 0.25}, step=1)
    run.start(epochs=3)
    run.finish()
    assert len(memory.pages) == pages > 0
    assert {page.state for page in memory.pages} == {"running"}
    assert len(caplog.records) == 1


def test_a_rank_that_comes_too_late_is_reported_where_each_rank_exports(caplog: pytest.LogCaptureFixture) -> None:
    memory = MemorySink()
    with gangplank.run("memory", "digits", sink=memory, per_rank=True) as run:
        run.record({"loss": 0.5}, epoch=0)
        run.start(rank=1)
        run.record({"loss": 0.25}, epoch=1)
    assert "rank=1 is too late" in caplog.text
    assert memory.value("gangplank_train_loss") == 0.25
    assert dict(memory.pages[-1].group.labels)["rank"] == "0"


def test_a_rank_of_0_that_comes_late_starts_a_run_that_was_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    memory = MemorySink()
    with gangplank.run("memory", "digits", sink=memory) as run:
        run.record({"loss": 0.5}, epoch=0)
        assert not run.open
        run.start(rank=0)
        run.record({"loss": 0.25}, epoch=1)
    assert memory.value("gangplank_train_loss") == 0.25


def test_a_run_that_has_not_started_has_no_name_yet() -> None:
    run = gangplank.run("gateway:1", "digits")
    for read in (lambda: run.group, lambda: run.name):
        with pytest.raises(ExportError, match="the run has not started"):
            read()
    assert (run.phase, run.open) == ("train", False)


def test_an_epoch_shows_without_anyone_waiting_for_the_end(gateway: Server) -> None:
    run = gangplank.run(gateway.address, "digits")
    run.record({"loss": 0.75}, epoch=0)
    eventually(lambda: value(gateway, "gangplank_train_loss") == 0.75)
    assert value(gateway, "gangplank_run_state", state="running") == 1
    run.finish()


def test_epochs_count_time_and_know_what_is_planned(gateway: Server) -> None:
    exporter = gangplank.Exporter(gateway.address, "digits", histogram_buckets=EDGES)
    with exporter.run() as run:
        for epoch in run.epochs(5, first=3):
            run.record({"loss": epoch}, weights={"kernel": np.ones(3)})
        with exporter.run("test") as test:
            test.record({"accuracy": 0.5})
    assert value(gateway, "gangplank_run_epochs_planned") == 5
    assert value(gateway, "gangplank_run_epoch") == 5
    assert value(gateway, "gangplank_train_loss") == 4
    assert value(gateway, "gangplank_run_metric_epoch", metric="loss") == 5
    assert value(gateway, "gangplank_run_epoch_duration_seconds") is not None
    assert value(gateway, "gangplank_test_accuracy") == 0.5
    assert value(gateway, "gangplank_run_state", phase="train", state="finished") == 1


def test_no_epochs_left_are_no_run(gateway: Server) -> None:
    trained(gateway)
    with gangplank.run(gateway.address, "digits") as run:
        assert list(run.epochs(3, first=3)) == []
    assert value(gateway, "gangplank_train_loss") == 0.375


def test_a_metric_keeps_its_newest_value_and_says_which_epoch_it_is_from(gateway: Server) -> None:
    with gangplank.run(gateway.address, "digits") as run:
        run.record({"loss": 3, "val_loss": 4}, epoch=0)
        run.record({"loss": 2}, epoch=1)
    assert value(gateway, "gangplank_train_val_loss") == 4
    assert value(gateway, "gangplank_run_metric_epoch", metric="val_loss") == 1
    assert value(gateway, "gangplank_run_metric_epoch", metric="loss") == 2


def test_a_new_run_starts_empty_under_a_name_of_its_own(gateway: Server) -> None:
    exporter = trained(gateway)
    name = next(samples(gateway.metrics(), "gangplank_train_loss")).labels["run"]
    with exporter.run("train") as second:
        second.record({"error": 1}, epoch=0)
    text = gateway.metrics()
    assert not list(samples(text, "gangplank_train_loss"))
    assert not list(samples(text, "gangplank_train_model_weights_count"))
    newer = next(samples(text, "gangplank_train_error")).labels["run"]
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{3}-[0-9a-f]{4}", newer)
    assert newer > name


def test_no_phase_erases_another(gateway: Server) -> None:
    exporter = trained(gateway)
    for phase in ("validate", "test", "predict"):
        with exporter.run(phase) as other:
            other.record({"loss": 9})
    assert {phase: value(gateway, f"gangplank_{phase}_loss", phase=phase) for phase in PHASES} == {
        "train": 0.375,
        "validate": 9,
        "test": 9,
        "predict": 9,
    }


def test_a_run_with_nothing_to_do_erases_nothing(gateway: Server) -> None:
    with trained(gateway).run("train"):
        pass
    assert value(gateway, "gangplank_train_loss") == 0.375


@pytest.mark.parametrize(
    ("error", "state"),
    [
        *((None, "finished"), (ValueError("a"), "failed"), (MemoryError(), "failed")),
        *((KeyboardInterrupt(), "interrupted"), (SystemExit(0), "interrupted")),
    ],
)
def test_a_run_ends_as_it_ended(gateway: Server, error: BaseException | None, state: str) -> None:
    caught: BaseException | None = None
    try:
        with gangplank.run(gateway.address, "digits") as run:
            run.record({"loss": 0.5}, epoch=0)
            if error:
                raise error  # noqa: TRY301  as the user's code does
    except BaseException as raised:  # noqa: BLE001
        caught = raised
    assert caught is error
    assert value(gateway, "gangplank_run_state", state=state) == 1
    assert value(gateway, "gangplank_train_loss") == 0.5
    assert (value(gateway, "gangplank_run_last_success_timestamp_seconds") is not None) == (state == "finished")


def test_what_comes_after_the_end_changes_nothing(gateway: Server, caplog: pytest.LogCaptureFixture) -> None:
    run = gangplank.run(gateway.address, "digits")
    finish_two_epochs(run)
    run.record({"loss": 100}, epoch=5)
    run.finish(ValueError("late"))
    run.start()
    assert value(gateway, "gangplank_train_loss") == 0.375
    assert value(gateway, "gangplank_run_state", state="finished") == 1
    assert "has ended" in caplog.text


def test_threads_that_note_the_first_steps_start_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, both = MemorySink(), threading.Barrier(2)

    def rank_of_process() -> int:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)
        return 0

    monkeypatch.setattr("gangplank.core.lifetime.rank_of_process", rank_of_process)
    run = gangplank.run("memory", "digits", sink=memory, concurrent=True)
    threads = [threading.Thread(target=lambda: run.step(duration=1.0)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.finish()
    assert {page.group for page in memory.pages} == {run.group}
    assert memory.value("gangplank_run_step_duration_seconds_count") == 2


def test_a_run_that_ends_while_it_starts_never_shows_as_running(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = MemorySink()
    run = gangplank.run("memory", "digits", sink=memory, ignore_exceptions=False)

    def known_info() -> dict[str, str]:
        run.finish(KeyboardInterrupt())  # as a signal handler, which may be called at any moment
        return {}

    monkeypatch.setattr("gangplank.core.exporter.known_info", known_info)
    run.start()
    assert not run.open
    assert not memory.pages


@pytest.mark.parametrize("strict", [False, True])
def test_a_run_may_end_in_the_middle_of_a_record(strict: bool, caplog: pytest.LogCaptureFixture) -> None:
    memory = MemorySink()
    run = gangplank.run("memory", "digits", sink=memory, histogram_buckets=EDGES, ignore_exceptions=not strict)
    run.start()

    def weights() -> Iterator[Any]:
        run.finish(KeyboardInterrupt())  # as a signal handler, or another thread
        yield from WEIGHTS

    run.record({"loss": 0.5}, epoch=0, weights=weights())
    eventually(lambda: memory.value("gangplank_run_state", state="interrupted"))
    assert memory.value("gangplank_train_loss") is None
    assert not caplog.records


def test_run_names(gateway: Server) -> None:
    for name in ("mine", None):
        with gangplank.run(gateway.address, "digits", run=name) as run:
            run.record({"loss": 1}, epoch=0)
        labels = next(samples(gateway.metrics(), "gangplank_train_loss")).labels
        assert labels.get("run") == name


def test_concurrent_runs_of_a_job_have_a_group_each(gateway: Server) -> None:
    runs = [gangplank.run(gateway.address, "digits", concurrent=True) for _ in range(2)]
    for loss, run in enumerate(runs):
        run.record({"loss": loss}, epoch=0)
    for run in runs:
        run.finish()
    found = {sample.labels["run"]: sample.value for sample in samples(gateway.metrics(), "gangplank_train_loss")}
    assert sorted(found.values()) == [0, 1]
    assert len(list(samples(gateway.metrics(), "push_time_seconds"))) == 2


def test_users_keys_and_info_are_shown_and_the_known_is_known(gateway: Server) -> None:
    with gangplank.run(
        gateway.address,
        "digits",
        grouping_key={"team": "vision", "shard": 3},
        info={"owner": "me", "dataset": 'a"\n\\'},
    ) as run:
        run.record({"loss": 1}, epoch=0)
    labels = next(samples(gateway.metrics(), "gangplank_run_info", team="vision", shard="3")).labels
    assert labels["owner"] == "me"
    assert labels["dataset"] == 'a"\n\\'
    assert {"host", "gangplank_version", "python_version"} <= labels.keys()
    assert value(gateway, "gangplank_train_loss", team="vision", shard="3") == 1
