"""`TrainTestExporter` in real Keras runs, against a real Pushgateway."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

import gangplank
from gangplank import DeliveryError, TrainTestExporter
from support.keras_fits import Data, Logs, compiled, exporter, fit, shown
from support.reading import samples, value
from support.servers import Server, free_port


def test_the_gateway_holds_what_keras_returned(gateway: Server, model: keras.Model, data: Data) -> None:
    history = fit(model, data, exporter(gateway), epochs=2, validation_data=data)
    evaluated = model.evaluate(*data, callbacks=[exporter(gateway)], return_dict=True, verbose=0)
    assert shown(gateway, "train", history) == {name: float(values[-1]) for name, values in history.items()}
    assert shown(gateway, "test", evaluated) == {name: float(number) for name, number in evaluated.items()}
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} == history.keys()
    for phase in ("train", "test"):
        assert value(gateway, "gangplank_run_state", phase=phase, state="finished") == 1


def test_position_time_and_model_are_shown(gateway: Server, model: keras.Model, data: Data) -> None:
    fit(model, data, exporter(gateway), epochs=3, batch_size=32)
    assert value(gateway, "gangplank_run_epoch") == 3
    assert value(gateway, "gangplank_run_epochs_planned") == 3
    assert value(gateway, "gangplank_run_step") == 12
    assert value(gateway, "gangplank_train_learning_rate") == pytest.approx(0.001)
    assert value(gateway, "gangplank_train_model_parameters", trainable="true") == 144 + 32 + 51
    assert value(gateway, "gangplank_train_model_parameters", trainable="false") == 32
    assert (value(gateway, "gangplank_run_epoch_duration_seconds") or 0) > 0
    assert (value(gateway, "gangplank_run_samples_per_second") or 0) > 0
    info = next(samples(gateway.metrics(), "gangplank_run_info")).labels
    assert info["framework"] == "keras"
    assert info["framework_version"] == keras.__version__
    assert info["backend"] == keras.config.backend()


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="TensorFlow distributes variables")
def test_the_numbers_in_distributed_variables_are_read(gateway: Server, data: Data) -> None:
    import tensorflow as tf  # noqa: PLC0415  where Keras has imported it

    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(3, activation="softmax")])
        model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
        variable = keras.Variable(0.25, name="own")
    with pytest.raises(TypeError):
        float(variable)
    history = fit(model, data, Logs(variable=variable), exporter(gateway, histogram_buckets=[0.0]), epochs=2)
    assert value(gateway, "gangplank_train_loss") == history["loss"][-1]
    assert value(gateway, "gangplank_train_variable") == 0.25
    assert value(gateway, "gangplank_run_step") == 8
    assert value(gateway, "gangplank_train_learning_rate") == 0.5
    assert value(gateway, "gangplank_run_samples_per_second") is not None
    assert value(gateway, "gangplank_train_model_weights_count") == 27


@pytest.mark.parametrize("options", [{}, {"batch_size": 7}, {"steps_per_epoch": 2, "batch_size": 20}])
@pytest.mark.parametrize("validated", [False, True])
def test_samples_are_those_that_the_epoch_trained_on(
    model: keras.Model, data: Data, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], validated: bool
) -> None:
    seen = []

    def record(run: gangplank.Run, metrics: Any, **what: Any) -> None:
        seen.append(what["samples"])

    monkeypatch.setattr(gangplank.Run, "record", record)
    validation = {"validation_data": (data[0][:30], data[1][:30])} if validated else {}
    fit(model, data, TrainTestExporter("gateway:1", "digits"), epochs=2, **options, **validation)
    assert seen == [40 if "steps_per_epoch" in options else 100] * 2


def test_numbers_of_every_kind_arrive_and_nothing_else_is_lost(
    gateway: Server, model: keras.Model, data: Data, caplog: pytest.LogCaptureFixture
) -> None:
    numbers = {
        "a_float": 0.1,
        "an_int": 3,
        "a_bool": np.True_,
        "a_float32": np.float32(0.1),
        "an_array": np.array(0.2),
        "a_tensor": keras.ops.convert_to_tensor(0.3, "float32"),
        "a_variable": keras.Variable(0.4, dtype="float32"),
        "a_rate": keras.optimizers.SGD(0.5).learning_rate,
        "a_nan": float("nan"),
    }
    others = {"a_string": "0.5", "a_none": None, "a_vector": np.ones(3), "a_dict": {"x": 1}, "a_tensor_1": np.ones(1)}
    history = fit(model, data, Logs(**numbers, **others), exporter(gateway), epochs=2)
    expected = {
        "a_float": 0.1,
        "an_int": 3.0,
        "a_bool": 1.0,
        "an_array": 0.2,
        "a_rate": 0.5,
        **{name: float(np.float32(x)) for name, x in (("a_float32", 0.1), ("a_tensor", 0.3), ("a_variable", 0.4))},
    }
    assert np.isnan(value(gateway, "gangplank_train_a_nan") or 0)
    assert shown(gateway, "train", expected) == expected
    assert value(gateway, "gangplank_train_loss") == history["loss"][-1]
    assert value(gateway, "gangplank_run_dropped_metrics_total", reason="not_numeric") == 2 * len(others)
    (line,) = (record.getMessage() for record in caplog.records if record.name == "gangplank")
    assert line.count("is not exported: ") == len(others)


def test_no_logs_are_no_problem(gateway: Server, model: keras.Model, caplog: pytest.LogCaptureFixture) -> None:
    callback = exporter(gateway)
    callback.set_model(model)
    callback.set_params({"epochs": 1})
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    callback.on_epoch_end(0)
    callback.on_train_end()
    assert value(gateway, "gangplank_run_state", state="finished") == 1
    assert not caplog.records


def test_only_the_named_metrics_are_exported(
    gateway: Server, model: keras.Model, data: Data, caplog: pytest.LogCaptureFixture
) -> None:
    callback = exporter(gateway, metrics=["loss", "val_accuracy"])
    history = fit(model, data, callback, epochs=1, validation_data=data)
    model.evaluate(*data, callbacks=[callback], verbose=0)
    assert shown(gateway, "train", ["loss", "val_accuracy"]) == {
        name: history[name][-1] for name in ("loss", "val_accuracy")
    }
    assert value(gateway, "gangplank_train_accuracy") is None
    assert value(gateway, "gangplank_test_accuracy") is None
    assert not caplog.records


@pytest.mark.parametrize(
    "broken",
    [
        *(f"keras.calls.ModelFacts.{name}" for name in ("__init__", "samples", "steps", "learning_rates")),
        "keras.calls.stopped_on_nan",
        "core.recording.recorder.parameters_in",
    ],
)
def test_what_cannot_be_read_of_a_model_costs_nothing_else(
    gateway: Server, model: keras.Model, data: Data, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("odd model")

    monkeypatch.setattr(f"gangplank.{broken}", fail)
    history = fit(model, data, exporter(gateway, histogram_buckets=[0.0]), epochs=2)
    assert value(gateway, "gangplank_train_loss") == history["loss"][-1]
    assert value(gateway, "gangplank_train_model_weights_count") is not None
    assert value(gateway, "gangplank_run_state", state="finished") == 1


@pytest.mark.parametrize("broken", ["exporter.watch_caller", "exporter.calling_lists", "calls.values_of"])
def test_no_hook_raises_whatever_breaks(
    model: keras.Model, data: Data, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(f"gangplank.keras.{broken}", fail)
    callback = TrainTestExporter(f"127.0.0.1:{free_port()}", "digits")
    fit(model, data, callback, epochs=1, validation_data=data)
    model.evaluate(*data, callbacks=[callback], verbose=0)


def test_the_learning_rate_of_a_scheduler_is_the_one_keras_logged(
    gateway: Server, model: keras.Model, data: Data
) -> None:
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 / (epoch + 1))
    history = fit(model, data, schedule, exporter(gateway), epochs=2)
    assert value(gateway, "gangplank_train_learning_rate") == float(history["learning_rate"][-1]) == 0.25


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(0.125),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.125)),
        lambda: keras.optimizers.SGD(keras.optimizers.schedules.PiecewiseConstantDecay([1000], [0.125, 1.0])),
    ],
)
def test_the_learning_rate_is_the_optimizers(gateway: Server, model: keras.Model, data: Data, optimizer: Any) -> None:
    fit(compiled(model, optimizer()), data, exporter(gateway), epochs=1)
    assert value(gateway, "gangplank_train_learning_rate") == 0.125


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_data_without_a_size_is_no_problem(gateway: Server, model: keras.Model, data: Data) -> None:
    def batches() -> Iterator[Any]:
        for start in range(0, 100, 25):
            yield data[0][start : start + 25], data[1][start : start + 25]

    history = model.fit(batches(), epochs=1, shuffle=False, callbacks=[exporter(gateway)], verbose=0).history
    assert value(gateway, "gangplank_train_loss") == history["loss"][-1]


def test_no_batch_hook_is_there_to_slow_the_batches_down() -> None:
    callback = TrainTestExporter("gateway:1", "digits")
    for hook in ("on_train_batch_begin", "on_train_batch_end", "on_test_batch_begin", "on_test_batch_end"):
        assert getattr(type(callback), hook) is getattr(keras.callbacks.Callback, hook)


def test_a_gateway_that_is_down_leaves_training_alone(
    model: keras.Model, data: Data, caplog: pytest.LogCaptureFixture
) -> None:
    callback = TrainTestExporter(f"127.0.0.1:{free_port()}", "digits", histogram_buckets=[0.0])
    assert len(fit(model, data, callback, epochs=3)["loss"]) == 3
    assert model.evaluate(*data, callbacks=[callback], verbose=0)
    assert [record.levelno for record in caplog.records if record.name == "gangplank"] == [logging.WARNING]


def test_strict_aborts_fit_and_evaluate_saying_what_happened(model: keras.Model, data: Data) -> None:
    port = free_port()
    callback = TrainTestExporter(f"127.0.0.1:{port}", "digits", ignore_exceptions=False)
    with pytest.raises(DeliveryError, match=rf"http://127\.0\.0\.1:{port} is unreachable"):
        fit(model, data, callback, epochs=3)
    with pytest.raises(DeliveryError, match="unreachable"):
        model.evaluate(*data, callbacks=[callback], verbose=0)
