"""What the user names as we do: both are exported, and told apart; a scheduler's learning rate is the learning rate."""

from __future__ import annotations

import re
from typing import Any

import keras
import pytest

from gangplank import TrainTestExporter
from gangplank.testing import MemorySink
from support.keras_fits import Data, Logs, fit
from support.logged import warnings


@pytest.fixture
def memory() -> MemorySink:
    return MemorySink()


def exporter(memory: MemorySink, **options: Any) -> TrainTestExporter:
    return TrainTestExporter("memory", "a", sink=memory, ignore_exceptions=False, **options)


def apart(memory: MemorySink) -> dict[str, float]:
    """Return the metrics of the last page; the digest at the end of a name is written `#`."""
    return {re.sub("_[0-9a-f]{8}$", "_#", name): one.value for name, one in memory.pages[-1].metrics.items()}


def test_a_metric_called_batch_loss_is_not_the_loss_of_a_batch(
    memory: MemorySink, model: keras.Model, data: Data, caplog: pytest.LogCaptureFixture
) -> None:
    callback = exporter(memory, update_freq="batch", push_interval=0.000001)
    history = fit(model, data, Logs(batch_loss=1234.0), callback, epochs=2)
    found = apart(memory)
    assert found["batch_loss_#"] == 1234.0
    assert found["batch_loss"] == pytest.approx(history["loss"][-1])
    assert found["loss"] == history["loss"][-1]
    assert all(one.value != 1234.0 for page in memory.pages if (one := page.metrics.get("batch_loss")))
    (line,) = warnings(caplog)
    assert "gangplank_train_batch_loss is the metric 'batch_loss' of steps" in line


def test_without_steps_a_metric_called_batch_loss_has_the_name(
    memory: MemorySink, model: keras.Model, data: Data, caplog: pytest.LogCaptureFixture
) -> None:
    fit(model, data, Logs(batch_loss=1234.0), exporter(memory), epochs=1)
    assert apart(memory)["batch_loss"] == 1234.0
    assert not caplog.records


@pytest.mark.parametrize("metrics", [None, ["loss", "learning_rate"], ["loss"]])
@pytest.mark.parametrize(
    "scheduler",
    [
        lambda: keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 / (epoch + 1)),
        lambda: keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=0, min_delta=1e9),
    ],
    ids=["scheduler", "plateau"],
)
def test_the_rate_that_a_scheduler_logs_is_the_learning_rate(
    memory: MemorySink, model: keras.Model, data: Data, caplog: pytest.LogCaptureFixture, scheduler: Any, metrics: Any
) -> None:
    history = fit(model, data, scheduler(), exporter(memory, metrics=metrics), epochs=3)
    rates = [page.newest.learning_rates for page in memory.pages if page.newest.learning_rates]
    assert list(dict.fromkeys(one[""] for one in rates)) == list(dict.fromkeys(map(float, history["learning_rate"])))
    assert not [name for name in apart(memory) if "learning_rate" in name]
    assert not caplog.records
