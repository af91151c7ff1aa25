"""Where the time of a fit goes."""

from __future__ import annotations

import time
from typing import Any

import keras
import pytest

from gangplank import TrainTestExporter
from gangplank.testing import MemorySink
from support.keras_fits import Data, fit
from with_keras.version import VERSION

ACTIVITIES = ("startup", "train", "data_wait", "validate", "checkpoint", "other")


def seconds(memory: MemorySink) -> dict[str, float]:
    """Return the activities that took any time, which add up to the whole."""
    each = {name: memory.value("gangplank_run_activity_seconds_total", activity=name) or 0.0 for name in ACTIVITIES}
    assert sum(each.values()) == pytest.approx(memory.value("gangplank_train_elapsed_time_seconds"), abs=1e-3)
    return {name: number for name, number in each.items() if number}


class Sleeps(keras.callbacks.Callback):  # type: ignore[misc]
    """Sleeps in one hook."""

    async_safe = True

    def __init__(self, hook: str) -> None:
        super().__init__()
        setattr(self, hook, lambda *_, **__: time.sleep(1.0 if hook == "on_epoch_end" else 0.3))


@pytest.fixture
def memory() -> MemorySink:
    return MemorySink()


def exporter(memory: MemorySink, **options: Any) -> TrainTestExporter:
    return TrainTestExporter("memory", "digits", sink=memory, ignore_exceptions=False, **options)


@pytest.mark.parametrize("update_freq", ["epoch", "batch"])
@pytest.mark.parametrize(
    ("hook", "activity"),
    [("on_train_batch_begin", "train"), ("on_test_batch_begin", "validate"), ("on_epoch_end", "other")],
)
def test_each_activity_has_the_time_that_was_spent_in_it(
    memory: MemorySink, model: keras.Model, data: Data, hook: str, activity: str, update_freq: str
) -> None:
    callback = exporter(memory, update_freq=update_freq)
    fit(model, data, callback, Sleeps(hook), epochs=2, validation_data=data)
    found = seconds(memory)
    slept = 2 * 1.0 if hook == "on_epoch_end" else 8 * 0.3
    at_the_start = 0.3 if activity == "train" and update_freq == "batch" else 0
    assert found[activity] > slept - at_the_start - 0.01
    assert found.keys() <= {"startup", "train", "validate", "other"}


@pytest.mark.skipif(VERSION < (3, 7), reason="older versions of Keras cannot fit a model that has predicted")
@pytest.mark.parametrize(("update_freq", "activity"), [("epoch", "train"), ("batch", "startup")])
def test_the_first_batch_is_startup_where_batches_are_exported(
    memory: MemorySink, model: keras.Model, data: Data, update_freq: str, activity: str
) -> None:
    class Slow(keras.layers.Layer):  # type: ignore[misc]
        slept = False

        def call(self, inputs: Any, *, training: bool = False) -> Any:
            if training and not self.slept:
                self.slept = True
                time.sleep(2)
            return inputs

    slow = keras.Sequential([model, Slow()])
    slow.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    slow.predict(data[0], verbose=0)
    fit(slow, data, exporter(memory, update_freq=update_freq), epochs=2)
    assert seconds(memory)[activity] > 2


class Evaluates(keras.callbacks.Callback):  # type: ignore[misc]
    """Evaluates before the second batch."""

    def __init__(self, data: Data, *callbacks: keras.callbacks.Callback) -> None:
        super().__init__()
        self.data, self.callbacks = data, list(callbacks)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if batch == 1:
            self.model.evaluate(*self.data, callbacks=self.callbacks, verbose=0)
        time.sleep(0.3)


def test_after_an_evaluation_inside_an_epoch_training_goes_on(
    memory: MemorySink, model: keras.Model, data: Data
) -> None:
    callback = exporter(memory)
    fit(model, data, Evaluates(data, callback, Sleeps("on_test_batch_begin")), callback, epochs=1)
    found = seconds(memory)
    assert found["train"] > 1.1
    assert found["validate"] > 1.1
    assert found["other"] < 0.3


def test_an_evaluation_has_no_activities(memory: MemorySink, model: keras.Model, data: Data) -> None:
    model.evaluate(*data, callbacks=[exporter(memory)], verbose=0)
    assert memory.value("gangplank_run_activity_seconds_total", activity="train") is None
