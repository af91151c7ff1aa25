"""The newest value of everything about a run, merged from its snapshots."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gangplank.core.log import Log
from gangplank.core.page.latest import Latest
from gangplank.core.page.page import MetricValue, Page
from gangplank.core.recording.activities import Activities
from gangplank.core.types import Group, Outcome, Snapshot, StepTimes
from gangplank.core.weights.histogram import WeightCounts
from support.logged import warnings

HERE, THERE = "http://here:9091", "http://there:9091"
GROUP = Group((("job", "digits"), ("phase", "train"), ("team", "vision")))
COUNTS = {"": WeightCounts(edges=(0.0,), counts=(1,), total=3, sum=0.5, nonfinite=1)}
TIMES = StepTimes(edges=(1.0,), counts=(2, 0), seconds=0.5)


class Training:
    """A run that is asked whether it is lost."""

    def __init__(self, end_if_lost: Callable[[], None] = lambda: None) -> None:
        self.open = True
        self.watched = False
        self.end_if_lost = end_if_lost

    def end_if_over(self) -> None:
        """Not called."""

    def lose(self, error: BaseException) -> None:
        """Not called."""

    def detach(self) -> None:
        """Not called."""


def latest(*, most_metrics: int = 100, training: Training | None = None) -> Latest:
    return Latest(
        GROUP,
        "train",
        name="one",
        log=Log(raises=False),
        info={"host": "a"},
        most_metrics=most_metrics,
        destinations=[HERE, THERE],
        run=lambda: training,
        activities=Activities().seconds,
    )


def value(page: Page, name: str, **labels: str) -> float | None:
    """Return a value on a page; None if there is none, never one of two."""
    found = [
        sample.value
        for family in page.collect()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) <= 1
    return found[0] if found else None


def merged(*snapshots: Snapshot, **options: Any) -> Page:
    """Return the page after these snapshots."""
    run = latest(**options)
    for snapshot in snapshots:
        run.update(snapshot)
    return run.page()


# Snapshots


EVERYTHING = Snapshot(
    metrics={"loss": 0.5},
    step_metrics={"batch_loss": 0.75},
    metrics_step=29,
    step_times=TIMES,
    epochs_planned=9,
    epoch=3,
    steps_planned=90,
    resumed_from_step=10,
    step=30,
    checkpoint=(1e9, 20),
    epoch_duration=1.5,
    samples_per_second=64.0,
    learning_rates={"adam": 0.1},
    parameters=(6, 2),
    weights=COUNTS,
    dropped={"name": 2},
)


@pytest.mark.parametrize("left_out", [Snapshot(), Snapshot(of_steps=True), Snapshot(metrics={}, learning_rates={})])
def test_what_a_snapshot_leaves_out_keeps_its_newest_value(left_out: Snapshot) -> None:
    page = merged(EVERYTHING, left_out)
    expected = {
        ("gangplank_train_loss", ()): 0.5,
        ("gangplank_train_batch_loss", ()): 0.75,
        ("gangplank_run_step_duration_seconds_count", ()): 2,
        ("gangplank_run_epochs_planned", ()): 9,
        ("gangplank_run_epoch", ()): 3,
        ("gangplank_run_step", ()): 30,
        ("gangplank_run_epoch_duration_seconds", ()): 1.5,
        ("gangplank_run_samples_per_second", ()): 64,
        ("gangplank_train_learning_rate", (("optimizer", "adam"),)): 0.1,
        ("gangplank_train_model_parameters", (("trainable", "true"),)): 6,
        ("gangplank_train_model_parameters", (("trainable", "false"),)): 2,
        ("gangplank_train_model_weights_count", ()): 3,
        ("gangplank_train_model_weights_nonfinite", ()): 1,
        ("gangplank_run_dropped_metrics_total", (("reason", "name"),)): 2,
        ("gangplank_run_metric_epoch", (("metric", "loss"),)): 3,
        ("gangplank_run_metric_step", (("metric", "batch_loss"),)): 29,
        ("gangplank_run_steps_planned", ()): 90,
        ("gangplank_run_resumed_from_step", ()): 10,
        ("gangplank_run_checkpoint_timestamp_seconds", ()): 1e9,
        ("gangplank_run_checkpoint_step", ()): 20,
    }
    assert {(name, labels): value(page, name, **dict(labels)) for name, labels in expected} == expected


def test_what_a_snapshot_says_replaces_the_older_value_zero_included() -> None:
    page = merged(EVERYTHING, Snapshot(metrics={"loss": 0.0}, epoch=0, step=0, epoch_duration=0.0, parameters=(0, 0)))
    assert value(page, "gangplank_train_loss") == 0
    assert value(page, "gangplank_run_epoch") == 0
    assert value(page, "gangplank_run_step") == 0
    assert value(page, "gangplank_run_epoch_duration_seconds") == 0
    assert value(page, "gangplank_train_model_parameters", trainable="true") == 0


def test_what_is_known_from_the_start_is_there_before_any_snapshot() -> None:
    page = merged(Snapshot(epochs_planned=5, epoch=2))
    assert (value(page, "gangplank_run_epochs_planned"), value(page, "gangplank_run_epoch")) == (5, 2)
    assert value(page, "gangplank_run_state", state="running") == 1
    assert value(page, "gangplank_run_dropped_metrics_total", reason="too_many") == 0


def test_a_metric_has_the_epoch_it_is_from_and_one_of_a_step_has_none() -> None:
    first = Snapshot(metrics={"loss": 0.5, "val_loss": 0.6}, epoch=1)
    page = merged(first, Snapshot(metrics={"loss": 0.4}, epoch=2), Snapshot(step_metrics={"batch_loss": 0.3}))
    epochs = {name: value(page, "gangplank_run_metric_epoch", metric=name) for name in ("loss", "val_loss")}
    assert epochs == {"loss": 2, "val_loss": 1}
    assert value(page, "gangplank_run_metric_epoch", metric="batch_loss") is None
    page = merged(first, Snapshot(metrics={"later": 0.4}))  # between two epochs
    assert value(page, "gangplank_run_metric_epoch", metric="later") == 1
    page = merged(first, Snapshot(step_metrics={"loss": 0.3}))
    assert value(page, "gangplank_train_loss") == 0.3
    assert value(page, "gangplank_run_metric_epoch", metric="loss") is None


def test_nonfinite_metrics_are_those_of_the_newest_values() -> None:
    bad = Snapshot(metrics={"loss": math.nan, "accuracy": math.inf})
    assert value(merged(bad), "gangplank_run_nonfinite_metrics") == 2
    assert value(merged(bad, Snapshot(metrics={"loss": 1.0})), "gangplank_run_nonfinite_metrics") == 1


def test_dropped_metrics_add_up() -> None:
    page = merged(Snapshot(dropped={"name": 2}), Snapshot(dropped={"name": 1, "too_large": 1}), Snapshot())
    counts = {
        reason: value(page, "gangplank_run_dropped_metrics_total", reason=reason)
        for reason in ("name", "too_large", "weights")
    }
    assert counts == {"name": 3, "too_large": 1, "weights": 0}


def test_learning_rates_are_replaced_all_together() -> None:
    rates = merged(Snapshot(learning_rates={"a": 0.1, "b": 0.2}), Snapshot(learning_rates={"a": 0.3}))
    assert rates.newest.learning_rates == {"a": 0.3}
    assert value(rates, "gangplank_train_learning_rate") == 0.3


def test_a_learning_rate_among_the_metrics_is_the_learning_rate_if_none_is_given() -> None:
    page = merged(Snapshot(metrics={"loss": 1.0, "learning_rate": 0.5}))
    assert page.newest.learning_rates == {"": 0.5}
    assert value(page, "gangplank_train_learning_rate") == 0.5
    assert list(page.metrics) == ["loss"]


@pytest.mark.parametrize("given", [{"": 0.1}, {"a": 0.1, "b": 0.2}])
@pytest.mark.parametrize("earlier", [False, True])
def test_beside_rates_that_are_given_a_metric_called_learning_rate_is_a_metric(
    given: Mapping[str, float], earlier: bool, caplog: pytest.LogCaptureFixture
) -> None:
    metric = Snapshot(metrics={"learning_rate": 0.5}, learning_rates={} if earlier else given)
    page = merged(*([Snapshot(learning_rates=given)] if earlier else []), metric)
    assert page.newest.learning_rates == given
    [(name, shown)] = page.metrics.items()
    assert (name != "learning_rate", shown.value) == (True, 0.5)
    (line,) = warnings(caplog)
    reason = "gangplank_train_learning_rate is one of gangplank's own"
    assert line == f"The metric 'learning_rate' is exported as gangplank_train_{name}, because {reason}"


def test_a_metric_that_was_the_learning_rate_stays_it_beside_rates_that_are_given_later() -> None:
    logged = Snapshot(metrics={"learning_rate": 0.5})
    page = merged(logged, Snapshot(learning_rates={"": 0.1}), Snapshot(metrics={"learning_rate": 0.25}))
    assert page.newest.learning_rates == {"": 0.25}
    page = merged(logged, Snapshot(learning_rates={"": 0.1}))
    assert page.newest.learning_rates == {"": 0.5, "0": 0.1}
    assert not page.metrics


def test_metrics_that_are_too_many_are_dropped_counted_and_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    run = latest(most_metrics=2)
    for number in range(3):
        run.update(Snapshot(metrics={"a": number, "b": number, "c": number}, step_metrics={"d": number}))
    page = run.page()
    assert page.metrics == {"a": MetricValue(2), "b": MetricValue(2)}
    assert value(page, "gangplank_run_dropped_metrics_total", reason="too_many") == 6
    assert warnings(caplog) == ["More series than a page may have: 'c' and later ones are dropped"]


def test_learning_rates_that_are_too_many_are_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    page = merged(Snapshot(learning_rates={str(number): 0.1 for number in range(103)}))
    assert list(page.newest.learning_rates) == [str(number) for number in range(100)]
    assert value(page, "gangplank_run_dropped_metrics_total", reason="too_many") == 3
    assert warnings(caplog) == ["More series than a page may have: 'learning rate of 100' and later ones are dropped"]


def test_a_name_that_changes_is_reported_once_and_a_phase_in_front_is_not(caplog: pytest.LogCaptureFixture) -> None:
    run = latest()
    for number in range(2):
        run.update(Snapshot(metrics={"top-5": number, "train_loss": number}, step_metrics={"batch/x": number}))
        run.page()
    assert run.page().metrics == dict.fromkeys(("top_5", "loss", "batch_x"), MetricValue(1))
    (line,) = warnings(caplog)
    assert line == (
        "The metric 'batch/x' is exported as gangplank_train_batch_x. "
        "The metric 'top-5' is exported as gangplank_train_top_5"
    )


def test_no_snapshot_is_lost_if_no_page_is_asked_for() -> None:
    run = latest()
    for number in range(1_000):
        run.update(Snapshot(metrics={"loss": number}, dropped={"name": 1}))
    assert len(run._unread) < 100  # noqa: SLF001  and they are not all kept
    page = run.page()
    assert value(page, "gangplank_train_loss") == 999
    assert value(page, "gangplank_run_dropped_metrics_total", reason="name") == 1_000


def test_last_update_moves_with_progress_and_the_heartbeat_with_each_page() -> None:
    run = latest()
    run.update(Snapshot(metrics={"loss": 1.0}))
    first = run.page()
    time.sleep(0.01)
    second = run.page()
    assert second.last_update == first.last_update
    assert second.heartbeat > first.heartbeat
    assert second.elapsed > first.elapsed
    run.update(Snapshot(metrics={"loss": 1.0}))
    assert run.page().last_update > first.last_update


# Failures, and facts of plugins


def test_failures_are_counted_by_destination_and_reason_from_zero() -> None:
    run = latest()

    def failures(destination: str, reason: str) -> float | None:
        return value(run.page(), "gangplank_run_export_failures_total", destination=destination, reason=reason)

    assert {failures(to, reason) for to in (HERE, THERE) for reason in ("timeout", "rejected")} == {0}
    for reason in ("timeout", "timeout", "rejected"):
        run.count_failure(HERE, reason)
    assert (failures(HERE, "timeout"), failures(HERE, "rejected")) == (2, 1)
    assert (failures(THERE, "timeout"), failures(THERE, "rejected")) == (0, 0)


def test_facts_are_added_to_the_info_family() -> None:
    run = latest()
    assert run.add_info("slurm", {"queue": "gpu", "node": None, "empty": "", "slot": 3})
    assert run.page().info == {"host": "a", "queue": "gpu", "slot": "3"}
    assert not run.add_info("slurm", {"node": None})
    assert value(run.page(), "gangplank_run_info", host="a", queue="gpu", slot="3", run="one") == 1


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"team": "x"}, "'team'"),  # of the grouping key
        ({"host": "b"}, "'host'"),  # known
        ({"le": "x"}, "'le'"),
        ({"a b": "x"}, "'a b'"),
        ({3: "x"}, "3"),
        ({"note": "\ud800"}, "note"),
    ],
)
def test_a_fact_that_is_refused_is_reported_once_and_costs_no_other(
    facts: Mapping[Any, str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    run = latest()
    assert run.add_info("slurm", {**facts, "queue": "gpu"})
    assert not run.add_info("slurm", facts)
    assert run.page().info == {"host": "a", "queue": "gpu"}
    (warning,) = warnings(caplog)
    assert warning.startswith("The plugin slurm: info")
    assert said in warning


def test_facts_that_are_no_mapping_are_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    run = latest()
    assert not run.add_info("slurm", ["queue"])
    assert not run.add_info("slurm", ["queue"])
    assert run.page().info == {"host": "a"}
    assert warnings(caplog) == ["The plugin slurm returned a list as info"]


# The end


@pytest.mark.parametrize("outcome", Outcome)
def test_a_page_shows_how_the_run_ended_and_no_longer_changes(outcome: Outcome) -> None:
    run = latest()
    run.update(Snapshot(metrics={"loss": 0.5}))
    assert run.running
    run.close(outcome)
    assert not run.running
    page = run.page()
    assert value(page, "gangplank_train_loss") == 0.5
    states = {state: value(page, "gangplank_run_state", state=state) for state in ("running", *Outcome)}
    assert states == {state: float(state == outcome) for state in states}
    assert page.last_update == page.heartbeat
    assert page.succeeded == (page.heartbeat if outcome is Outcome.FINISHED else None)
    time.sleep(0.01)
    assert run.page() == page


def test_failures_after_the_end_are_still_counted() -> None:
    run = latest()
    run.close(Outcome.FINISHED)
    run.count_failure(HERE, "timeout")
    assert run.page().failures[HERE] == {"timeout": 1}
    assert value(run.page(), "gangplank_run_state", state="finished") == 1


def test_a_lost_run_is_noticed_only_if_nothing_is_new() -> None:
    asked: list[bool] = []
    run = latest(training=Training(lambda: asked.append(True)))
    run.update(Snapshot(metrics={"loss": 0.5}))
    run.end_if_lost()
    assert asked == []
    run.page()
    run.end_if_lost()
    assert asked == [True]
    run.close(Outcome.FINISHED)
    run.end_if_lost()
    assert asked == [True]


def test_a_run_goes_on_only_as_long_as_somebody_keeps_it() -> None:
    training = Training()
    run = latest(training=training)
    assert (run.watched, run.left) == (False, False)
    training.watched = True
    assert (run.watched, run.left) == (True, False)
    training.open = False
    assert run.left
    assert (latest(training=None).watched, latest(training=None).left) == (False, True)
    run.close(Outcome.FINISHED)
    assert not run.left


def test_a_lost_run_is_asked_by_one_of_two_threads_and_the_other_does_not_wait() -> None:
    asked, looks, ends = threading.Event(), threading.Event(), 0

    def end_if_lost() -> None:
        nonlocal ends
        asked.set()
        assert looks.wait(10)
        ends += 1
        run.close(Outcome.FAILED)

    run = latest(training=Training(end_if_lost))
    first = threading.Thread(target=run.end_if_lost)
    first.start()
    assert asked.wait(10)
    run.end_if_lost()
    assert value(run.page(), "gangplank_run_state", state="running") == 1  # while the first thread looks
    looks.set()
    first.join(10)
    run.end_if_lost()
    assert value(run.page(), "gangplank_run_state", state="failed") == 1
    assert ends == 1


def test_an_error_while_it_looks_leaves_later_pages_able_to_look() -> None:
    looks = 0

    def end_if_lost() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise ValueError("broken")
        run.close(Outcome.FAILED)

    run = latest(training=Training(end_if_lost))
    with pytest.raises(ValueError, match="broken"):
        run.end_if_lost()
    run.end_if_lost()
    assert value(run.page(), "gangplank_run_state", state="failed") == 1


def test_a_run_that_ends_inside_a_merge_stays_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A garbage collection in the middle of a merge may run a destructor that ends the run."""
    run = latest()
    logged: list[int] = []

    def ends(names: Any, metrics: Any) -> Any:
        logged.append(1)
        run.close(Outcome.INTERRUPTED)
        return added(names, metrics)

    names = type(run._names)  # noqa: SLF001
    added = names.add
    monkeypatch.setattr(names, "add", ends)
    run.update(Snapshot(metrics={"loss": 0.5}))
    page = run.page()
    assert logged == [1]
    assert value(page, "gangplank_run_state", state="interrupted") == 1
    assert value(page, "gangplank_train_loss") == 0.5


def test_threads_that_update_and_ask_at_once_lose_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    run, stop = latest(), threading.Event()

    def ask() -> None:
        while not stop.is_set():
            run.page()
            run.count_failure(HERE, "timeout")

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    for number in range(3_000):
        run.update(Snapshot(metrics={"loss": number}, epoch=number, dropped={"name": 1}))
    stop.set()
    for thread in asking:
        thread.join(10)
    page = run.page()
    assert page.metrics["loss"] == MetricValue(2_999, epoch=2_999)
    assert value(page, "gangplank_run_dropped_metrics_total", reason="name") == 3_000
