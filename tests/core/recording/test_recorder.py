"""What is taken of metrics, learning rates and weights."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import gangplank
from gangplank.testing import MemorySink
from support.handlers import Recorder
from support.logged import warnings
from support.reading import eventually, samples, value
from support.runs import EDGES
from support.servers import Server


def test_only_the_wanted_metrics_are_exported_and_a_missing_one_is_reported_once(
    gateway: Server, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = gangplank.Exporter(gateway.address, "digits", metrics=["loss", "val_accuracy", "f1"])
    for _ in range(2):
        run = exporter.run("train")
        run.record({"loss": 1, "accuracy": 2, "note": "text"}, epoch=0)
        run.finish()
    assert value(gateway, "gangplank_train_loss") == 1
    assert value(gateway, "gangplank_train_accuracy") is None
    assert warnings(caplog) == [
        "The metric 'f1' was asked for and never appeared. The metric 'val_accuracy' was asked for and never appeared"
    ]


def test_nothing_is_missed_in_a_run_that_ended_before_its_first_epoch(
    gateway: Server, caplog: pytest.LogCaptureFixture
) -> None:
    run = gangplank.run(gateway.address, "digits", metrics=["loss"])
    run.start()
    run.finish(ValueError())
    assert not caplog.records


def test_a_val_metric_is_not_missed_in_an_evaluation(gateway: Server, caplog: pytest.LogCaptureFixture) -> None:
    with gangplank.run(gateway.address, "digits", "test", metrics=["loss", "val_loss"]) as run:
        run.record({"loss": 1})
    assert not caplog.records


def test_bad_metrics_are_counted_and_reported_once_and_lose_nothing_else(
    gateway: Server, caplog: pytest.LogCaptureFixture
) -> None:
    bad: dict[Any, Any] = {"note": "0.5", "vector": np.ones(3), "huge": 10**400, 3: 1.0, "": 2.0, "none": None}
    with gangplank.run(gateway.address, "digits") as run:
        for epoch in range(2):
            run.record({**bad, "loss": 0.5}, epoch=epoch)
    assert value(gateway, "gangplank_train_loss") == 0.5
    dropped = samples(gateway.metrics(), "gangplank_run_dropped_metrics_total")
    assert {sample.labels["reason"]: sample.value for sample in dropped} == {
        "not_numeric": 6,
        "too_large": 2,
        "name": 4,
        "too_many": 0,
        "weights": 0,
    }
    (line,) = warnings(caplog)
    assert line.count("is not exported: ") == len(bad)


def test_nan_and_infinities_are_what_they_are(gateway: Server) -> None:
    with gangplank.run(gateway.address, "digits") as run:
        run.record({"loss": float("nan"), "up": float("inf"), "down": -np.inf, "fine": 1}, epoch=0)
    assert value(gateway, "gangplank_run_nonfinite_metrics") == 3
    assert value(gateway, "gangplank_train_up") == float("inf")
    assert value(gateway, "gangplank_train_down") == float("-inf")
    assert np.isnan(value(gateway, "gangplank_train_loss") or 0)


def test_names_that_collide_are_kept_apart_and_reported_once(gateway: Server, caplog: pytest.LogCaptureFixture) -> None:
    with gangplank.run(gateway.address, "digits") as run:
        for epoch in range(2):
            run.record({"a/b": 1, "a_b": 2, "model_weights": 3}, epoch=epoch)
    text = gateway.metrics()
    assert next(samples(text, "gangplank_train_a_b")).value == 2
    gauges = re.findall(r"^gangplank_train_(a_b_[0-9a-f]{8}|model_weights_[0-9a-f]{8}){.*} (\d)$", text, re.MULTILINE)
    names = {number: name for name, number in gauges}
    assert names.keys() == {"1", "3"}
    (line,) = warnings(caplog)
    assert line == (
        f"The metric 'model_weights' is exported as gangplank_train_{names['3']}, because "
        "gangplank_train_model_weights is one of gangplank's own. "
        f"The metric 'a/b' is exported as gangplank_train_{names['1']}, because gangplank_train_a_b is the metric 'a_b'"
    )


def test_a_metric_called_learning_rate_is_the_learning_rate_if_none_is_given(gateway: Server) -> None:
    with gangplank.run(gateway.address, "digits", metrics=["loss", "learning_rate"]) as run:
        run.record({"loss": 1, "learning_rate": 0.5}, epoch=0)
    assert value(gateway, "gangplank_train_learning_rate") == 0.5
    assert value(gateway, "gangplank_run_metric_epoch", metric="learning_rate") is None


def test_a_rate_that_is_given_is_not_missed_as_a_metric(caplog: pytest.LogCaptureFixture) -> None:
    with gangplank.run("memory", "digits", sink=MemorySink(), metrics=["loss", "learning_rate"]) as run:
        run.record({"loss": 1}, epoch=0, learning_rates=0.5)
    assert not caplog.records


def test_keys_with_the_same_text_are_two_rates() -> None:
    memory = MemorySink()
    with gangplank.run("memory", "digits", sink=memory) as run:
        run.record(epoch=0, learning_rates={1: 0.5, "1": 0.25, "1-1": 0.125, chr(0xD800): 1.0, chr(0xD801): 2.0})
    assert sorted(memory.pages[-1].newest.learning_rates.values()) == [0.125, 0.25, 0.5, 1.0, 2.0]


def test_several_optimizers_have_a_learning_rate_each(gateway: Server) -> None:
    with gangplank.run(gateway.address, "digits") as run:
        run.record({"loss": 1}, epoch=0, learning_rates={"generator": 0.25, "critic": 0.125})
    assert value(gateway, "gangplank_train_learning_rate", optimizer="critic") == 0.125


def test_rates_that_are_no_more_are_not_shown(gateway: Server) -> None:
    with gangplank.run(gateway.address, "digits") as run:
        run.record(learning_rates=0.5, epoch=0)
        run.record(learning_rates={"Adam/pg1": 0.25, "Adam/pg2": 0.125}, epoch=1)
        run.record({"learning_rate": 3.0}, learning_rates={"Adam/pg1": 0.25, "Adam/pg2": 0.0625}, epoch=2)
        run.record({"loss": 3.0})
    rates = {s.labels.get("optimizer"): s.value for s in samples(gateway.metrics(), "gangplank_train_learning_rate")}
    assert rates == {"Adam/pg1": 0.25, "Adam/pg2": 0.0625}


def test_metrics_beyond_the_cap_are_dropped_and_counted(gateway: Server) -> None:
    with gangplank.run(gateway.address, "digits") as run:
        for epoch in range(2):
            run.record({f"m{index}": index for index in range(1000)}, epoch=epoch)
    text = gateway.metrics()
    assert len(list(samples(text, "gangplank_run_metric_epoch"))) == 800
    assert text.count("\ngangplank_") < 2_000
    assert value(gateway, "gangplank_run_dropped_metrics_total", reason="too_many") == 400


@pytest.mark.parametrize(("frequency", "counted"), [(1, [0, 1, 2, 3, "end"]), (2, [1, 3, "end"]), (0, ["end"])])
def test_weights_are_read_when_they_are_due_and_not_before(
    gateway: Server, frequency: int, counted: list[object]
) -> None:
    read: list[object] = []

    def weights(when: object) -> Any:
        read.append(when)
        yield np.ones(3)

    run = gangplank.run(gateway.address, "digits", histogram_buckets=EDGES, histogram_freq=frequency)
    for epoch in range(4):
        run.record({"loss": 1}, epoch=epoch, weights=weights(epoch))
    run.finish(weights=weights("end"))
    assert read == counted
    assert value(gateway, "gangplank_train_model_weights_count") == 3


def test_without_edges_no_weight_is_read(gateway: Server) -> None:
    def unread() -> Any:
        yield pytest.fail("read")

    with gangplank.run(gateway.address, "digits") as run:
        run.record({"loss": 1}, epoch=0, weights=unread())
    assert "model_weights" not in gateway.metrics()


def test_weights_that_cannot_be_counted_cost_no_metric(gateway: Server, caplog: pytest.LogCaptureFixture) -> None:
    with gangplank.run(gateway.address, "digits", histogram_buckets=EDGES) as run:
        run.record({"loss": 1}, epoch=0, weights=[np.array([1j])])
    assert value(gateway, "gangplank_train_loss") == 1
    assert value(gateway, "gangplank_run_dropped_metrics_total", reason="weights") == 1
    assert "complex128" in caplog.text


def test_step_records_keep_to_the_push_interval() -> None:
    handler = Recorder()
    run = gangplank.run("gateway:1", "digits", handler=handler, push_interval=30, update_freq="batch")
    run.start()
    eventually(lambda: handler.calls)
    for step in range(50):
        run.step({"loss": step}, step=step)
    assert len(handler.calls) == 1
    run.finish()
    assert len(handler.calls) == 2
    assert b"gangplank_train_batch_loss" in handler.calls[-1]["data"]


def test_readings_that_are_no_numbers_cost_no_metric(gateway: Server) -> None:
    with gangplank.run(gateway.address, "digits") as run:
        rates: dict[Any, Any] = {0: 0.5, "bad": None}
        run.record({"loss": 1}, epoch=0, step="x", learning_rates=rates)  # type: ignore[arg-type]
    assert value(gateway, "gangplank_train_loss") == 1
    assert value(gateway, "gangplank_train_learning_rate", optimizer="0") == 0.5
    assert value(gateway, "gangplank_run_dropped_metrics_total", reason="not_numeric") == 1


@pytest.mark.parametrize("parameters", [9_930, (9_930,), ("all", 0)])
def test_parameters_that_are_not_two_numbers_lose_nothing_else(
    gateway: Server, parameters: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with gangplank.run(gateway.address, "digits") as run:
        run.record({"loss": 0.5}, epoch=0, parameters=parameters)
    assert value(gateway, "gangplank_train_loss") == 0.5
    assert value(gateway, "gangplank_run_state", state="finished") == 1
    assert not [*samples(gateway.metrics(), "gangplank_train_model_parameters")]
    assert "counting the parameters failed" in caplog.text
