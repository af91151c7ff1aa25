"""`TrainTestExporter` in real Keras runs, against a real Pushgateway."""

from __future__ import annotations

import copy
import inspect
import logging
import math
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest

import gangplank
from gangplank import HISTOGRAM_WEIGHT_BUCKETS_0_3, ConfigurationError, DeliveryError, TrainTestExporter
from gangplank.core import outbox
from reading import eventually, samples, value
from servers import Server, free_port
from with_keras.version import VERSION

Data = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


def exporter(gateway: Server, **options: Any) -> TrainTestExporter:
    return TrainTestExporter(gateway.address, "digits", **options)


def compiled(model: keras.Model, optimizer: object = "adam") -> keras.Model:
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return model


def fit(model: keras.Model, data: Data, *callbacks: keras.callbacks.Callback, **options: Any) -> dict[str, list[float]]:
    history = model.fit(*data, callbacks=list(callbacks), verbose=0, **options)
    recorded: dict[str, list[float]] = history.history
    return recorded


def shown(gateway: Server, phase: str, names: Any) -> dict[str, float | None]:
    return {name: value(gateway, f"gangplank_{phase}_{name}") for name in names}


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


def test_weights_are_counted_exactly_and_the_sum_is_there(gateway: Server, model: keras.Model, data: Data) -> None:
    fit(model, data, exporter(gateway, histogram_buckets=HISTOGRAM_WEIGHT_BUCKETS_0_3), epochs=1)
    weights = np.concatenate(
        [keras.ops.convert_to_numpy(v).astype(np.float64).ravel() for v in model.trainable_variables]
    )
    buckets = {
        float(s.labels["le"]): s.value for s in samples(gateway.metrics(), "gangplank_train_model_weights_bucket")
    }
    assert buckets == {edge: (weights <= edge).sum() for edge in (*HISTOGRAM_WEIGHT_BUCKETS_0_3, math.inf)}
    assert value(gateway, "gangplank_train_model_weights_sum") == pytest.approx(math.fsum(weights), rel=1e-12)
    assert value(gateway, "gangplank_train_model_weights_nonfinite") == 0


def nested() -> keras.Model:
    """A trainable model around a layer that is frozen."""
    inner = keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(4), keras.layers.Dense(4)])
    inner.layers[0].trainable = False
    return keras.Sequential([keras.layers.Input((8,)), inner, keras.layers.Dense(3, activation="softmax")])


def shared() -> keras.Model:
    """A model that uses one layer twice."""
    layer = keras.layers.Dense(8)
    inputs = keras.layers.Input((8,))
    outputs = keras.layers.Dense(3, activation="softmax")(layer(layer(inputs)))
    return keras.Model(inputs, outputs)


class Subclassed(keras.Model):  # type: ignore[misc]
    """A model that owns weights that are in no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = self.add_weight(shape=(8, 3), initializer="ones", name="scale")
        self.statistic = self.add_weight(shape=(5,), trainable=False, name="statistic")

    def call(self, inputs: Any) -> Any:
        return keras.ops.softmax(keras.ops.matmul(inputs, self.scale))


def reduced_precision(dtype: str) -> keras.Model:
    dense = keras.layers.Dense(3, activation="softmax", dtype=keras.DTypePolicy(dtype))
    return keras.Sequential([keras.layers.Input((8,)), dense, keras.layers.Activation("linear", dtype="float32")])


@pytest.mark.parametrize(
    ("build", "trainable", "others"),
    [
        pytest.param(nested, 20 + 15, 36, id="a frozen layer inside"),
        pytest.param(shared, 72 + 27, 0, id="a layer used twice"),
        pytest.param(Subclassed, 24, 5, id="weights of a subclass"),
        pytest.param(lambda: reduced_precision("bfloat16"), 27, 0, id="bfloat16"),
        pytest.param(lambda: reduced_precision("float16"), 27, 0, id="float16"),
    ],
)
def test_each_variable_is_counted_once(gateway: Server, data: Data, build: Any, trainable: int, others: int) -> None:
    model = compiled(build())
    model.evaluate(*data, callbacks=[exporter(gateway, histogram_buckets=[0.0])], verbose=0)
    assert value(gateway, "gangplank_test_model_weights_count") == trainable
    assert value(gateway, "gangplank_test_model_parameters", trainable="true") == trainable
    assert value(gateway, "gangplank_test_model_parameters", trainable="false") == others
    assert trainable + others == model.count_params()


def test_the_state_of_a_generator_is_no_parameter(gateway: Server, data: Data) -> None:
    model = compiled(
        keras.Sequential(
            [keras.layers.Input((8,)), keras.layers.Dropout(0.5), keras.layers.Dense(3, activation="softmax")]
        )
    )
    fit(model, data, exporter(gateway), epochs=1)
    model.evaluate(*data, callbacks=[exporter(gateway)], verbose=0)
    for phase in ("train", "test"):
        assert value(gateway, f"gangplank_{phase}_model_parameters", trainable="true") == 27
        assert value(gateway, f"gangplank_{phase}_model_parameters", trainable="false") == 0


def test_nan_weights_are_counted_apart(gateway: Server, model: keras.Model, data: Data) -> None:
    kernel, *_ = model.get_weights()
    kernel[0, 0], kernel[1, 1] = np.nan, -np.inf
    model.trainable_variables[0].assign(kernel)
    model.evaluate(*data, callbacks=[exporter(gateway, histogram_buckets=[0.0])], verbose=0)
    assert value(gateway, "gangplank_test_model_weights_nonfinite") == 2
    assert value(gateway, "gangplank_test_model_weights_count") == 144 + 32 + 51 - 2


class Logs(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes into the logs, as other callbacks and custom train steps do."""

    def __init__(self, **logs: Any) -> None:
        super().__init__()
        self.logs = logs

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
        logs.update(self.logs)


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
    assert sum(record.name == "gangplank" for record in caplog.records) == len(others)


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


def test_validation_inside_a_fit_is_no_test_run(gateway: Server, model: keras.Model, data: Data) -> None:
    history = fit(model, data, exporter(gateway), epochs=3, validation_data=data, validation_freq=2)
    text = gateway.metrics()
    assert {sample.labels["phase"] for sample in samples(text, "gangplank_run_state")} == {"train"}
    assert value(gateway, "gangplank_train_val_loss") == history["val_loss"][-1]
    assert value(gateway, "gangplank_run_metric_epoch", metric="val_loss") == 2
    assert value(gateway, "gangplank_run_metric_epoch", metric="loss") == 3


def test_one_exporter_serves_fits_and_evaluations_in_any_order(gateway: Server, model: keras.Model, data: Data) -> None:
    callback = exporter(gateway, histogram_buckets=[0.0])
    model.evaluate(*data, callbacks=[callback], verbose=0)
    first = fit(model, data, callback, epochs=1)
    assert value(gateway, "gangplank_train_loss") == first["loss"][-1]
    evaluated = model.evaluate(*data, callbacks=[callback], return_dict=True, verbose=0)
    second = fit(model, data, callback, epochs=2)
    assert value(gateway, "gangplank_train_loss") == second["loss"][-1]
    assert value(gateway, "gangplank_test_loss") == evaluated["loss"]
    assert {sample.value for sample in samples(gateway.metrics(), "gangplank_run_state", state="finished")} == {1}


class Evaluates(keras.callbacks.Callback):  # type: ignore[misc]
    """Evaluates at the end of each epoch, with or without an exporter."""

    def __init__(self, data: Data, *callbacks: keras.callbacks.Callback) -> None:
        super().__init__()
        self.data = data
        self.callbacks = list(callbacks)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        x, y = self.data
        self.model.evaluate(x[:10], y[:10], callbacks=self.callbacks, verbose=0)


@pytest.mark.xfail(
    (3, 9) <= VERSION < (3, 12) and keras.config.backend() == "jax",
    reason="Keras 3.9 to 3.11 itself fails on JAX where a callback evaluates",
    raises=TypeError,
    strict=True,
)
@pytest.mark.parametrize("watched", [True, False])
def test_an_evaluation_inside_a_fit_ends_no_run_and_counts_no_samples(
    gateway: Server, model: keras.Model, data: Data, watched: bool
) -> None:
    callback = exporter(gateway)
    evaluates = Evaluates(data, callback) if watched else Evaluates(data)
    history = fit(model, data, evaluates, callback, epochs=2)
    assert value(gateway, "gangplank_train_loss") == history["loss"][-1]
    assert value(gateway, "gangplank_run_epoch") == 2
    assert value(gateway, "gangplank_run_state", phase="train", state="finished") == 1
    assert value(gateway, "gangplank_test_loss") is None
    # Unwatched, the count was begun anew, and nobody knows.
    assert (value(gateway, "gangplank_run_samples_per_second") is not None) == watched


class OwnTraining(keras.Sequential):  # type: ignore[misc]
    """A model with a train step of its own, as GANs have: neither Keras' optimizer nor its loss is used."""

    def train_step(self, *_: Any) -> dict[str, Any]:
        return {"loss": np.array([0.25, 0.75]), "g_loss": 0.5}


def test_a_train_step_of_ones_own_is_not_described_by_what_it_does_not_use(gateway: Server) -> None:
    model = OwnTraining([keras.layers.Input((8,)), keras.layers.Dense(3)])
    model.compile("adam", "mse", run_eagerly=True)
    model.stop_training = True
    callback = exporter(gateway)
    callback.set_model(model)
    callback.set_params({"epochs": 1})
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    callback.on_epoch_end(0, model.train_step())
    callback.on_train_end(model.train_step())
    assert value(gateway, "gangplank_train_g_loss") == 0.5
    assert value(gateway, "gangplank_run_state", state="finished") == 1
    for name in ("gangplank_train_learning_rate", "gangplank_run_step", "gangplank_run_samples_per_second"):
        assert value(gateway, name) is None


@pytest.mark.parametrize(
    "broken",
    [
        *(f"keras.exporter.ModelFacts.{name}" for name in ("__init__", "samples", "steps", "learning_rates")),
        "keras.exporter.stopped_on_nan",
        "core.recorder.parameters_in",
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


@pytest.mark.parametrize("broken", ["watch_caller", "values_of"])
def test_no_hook_raises_whatever_breaks(
    model: keras.Model, data: Data, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(f"gangplank.keras.exporter.{broken}", fail)
    callback = TrainTestExporter(f"127.0.0.1:{free_port()}", "digits")
    fit(model, data, callback, epochs=1, validation_data=data)
    model.evaluate(*data, callbacks=[callback], verbose=0)


def test_predicting_is_no_run(gateway: Server, model: keras.Model, data: Data) -> None:
    model.predict(data[0], callbacks=[exporter(gateway)], verbose=0)
    assert "gangplank_" not in gateway.metrics()


def test_a_resumed_fit_goes_on_where_it_was(gateway: Server, model: keras.Model, data: Data) -> None:
    fit(model, data, exporter(gateway), epochs=5, initial_epoch=3)
    assert value(gateway, "gangplank_run_epoch") == 5
    assert value(gateway, "gangplank_run_metric_epoch", metric="loss") == 5


@pytest.mark.xfail(
    VERSION < (3, 7) and keras.config.backend() != "tensorflow",
    reason="Keras before 3.7 itself fails after a fit of no epochs: training_logs is not set",
    raises=UnboundLocalError,
    strict=True,
)
@pytest.mark.parametrize("nothing", [{"epochs": 0}, {"epochs": 3, "initial_epoch": 3}])
def test_a_fit_with_nothing_left_to_do_erases_nothing(
    gateway: Server, model: keras.Model, data: Data, nothing: dict[str, int]
) -> None:
    history = fit(model, data, exporter(gateway), epochs=1)
    fit(model, data, exporter(gateway), **nothing)
    assert value(gateway, "gangplank_train_loss") == history["loss"][-1]
    assert value(gateway, "gangplank_run_state", state="finished") == 1


class Breaks(keras.callbacks.Callback):  # type: ignore[misc]
    """Raises in the second epoch."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            raise self.error


@pytest.mark.parametrize(("error", "state"), [(ValueError("mine"), "failed"), (KeyboardInterrupt(), "interrupted")])
def test_the_with_block_closes_a_run_that_an_exception_ended(
    gateway: Server, model: keras.Model, data: Data, error: BaseException, state: str
) -> None:
    with pytest.raises(type(error)) as raised, exporter(gateway) as callback:
        fit(model, data, callback, Breaks(error), epochs=3)
    assert raised.value is error
    assert value(gateway, "gangplank_run_state", state=state) == 1
    assert value(gateway, "gangplank_run_epoch") == 1
    assert value(gateway, "gangplank_train_loss") is not None


def test_the_next_evaluation_closes_a_fit_that_an_exception_ended(
    gateway: Server, model: keras.Model, data: Data
) -> None:
    callback = exporter(gateway)
    with pytest.raises(ValueError, match="mine"):
        fit(model, data, callback, Breaks(ValueError("mine")), epochs=3)
    evaluated = model.evaluate(*data, callbacks=[callback], return_dict=True, verbose=0)
    assert value(gateway, "gangplank_run_state", phase="train", state="failed") == 1
    assert value(gateway, "gangplank_test_loss") == evaluated["loss"]


def test_a_failed_cell_is_noticed_while_the_process_lives_on(
    gateway: Server, model: keras.Model, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "HEARTBEAT", 0.05)
    began, held = threading.Event(), threading.Event()

    class Slow(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                began.set()
                held.wait(30)
                raise ValueError("mine")

    def cell() -> None:
        with pytest.raises(ValueError, match="mine"):
            fit(model, data, exporter(gateway), Slow(), epochs=3)

    thread = threading.Thread(target=cell)
    thread.start()
    assert began.wait(30)
    beat = value(gateway, "gangplank_run_heartbeat_timestamp_seconds") or 0
    # A slow epoch is no failure: the fit is still on its thread's stack.
    eventually(lambda: (value(gateway, "gangplank_run_heartbeat_timestamp_seconds") or 0) > beat + 0.2)
    assert value(gateway, "gangplank_run_state", state="running") == 1
    held.set()
    thread.join()
    eventually(lambda: value(gateway, "gangplank_run_state", state="failed") == 1)
    assert value(gateway, "gangplank_run_epoch") == 1


@pytest.mark.parametrize(
    ("then", "state"), [("raise ValueError('mine')", "failed"), ("sys.exit(3)", "interrupted")], ids=["error", "exit"]
)
def test_a_script_that_dies_in_a_fit_says_so(gateway: Server, then: str, state: str) -> None:
    code = f"""
import sys, keras, numpy as np, gangplank
class Dies(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1: {then}
model = keras.Sequential([keras.layers.Dense(1)])
model.compile("sgd", "mse", run_eagerly=True)
exporter = gangplank.TrainTestExporter({gateway.address!r}, "digits")
model.fit(np.ones((8, 2)), np.ones((8, 1)), epochs=3, verbose=0, callbacks=[exporter, Dies()])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == (3 if "exit" in then else 1)
    assert ("ValueError: mine" in done.stderr) == ("mine" in then)
    assert value(gateway, "gangplank_run_state", state=state) == 1
    assert value(gateway, "gangplank_train_loss") is not None


def copied_by_pickle(callback: TrainTestExporter) -> TrainTestExporter:
    again = pickle.loads(pickle.dumps(callback))
    assert isinstance(again, TrainTestExporter)
    return again


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, copied_by_pickle])
def test_a_copy_exports_as_the_original_does(gateway: Server, model: keras.Model, data: Data, copied: Any) -> None:
    original = exporter(gateway, histogram_buckets=[0.0], metrics=["loss"])
    history = fit(model, data, copied(original), epochs=1)
    assert value(gateway, "gangplank_train_loss") == history["loss"][-1]
    assert value(gateway, "gangplank_train_accuracy") is None
    history = fit(model, data, original, epochs=1)
    again = copied(original)  # after a fit, too: without the model
    assert again.model is None
    evaluated = model.evaluate(*data, callbacks=[again], return_dict=True, verbose=0)
    assert value(gateway, "gangplank_test_loss") == evaluated["loss"]
    assert value(gateway, "gangplank_train_loss") == history["loss"][-1]


def test_a_fit_that_ends_on_nan_has_failed(gateway: Server, model: keras.Model, data: Data) -> None:
    x, y = data
    fit(model, (np.full_like(x, np.nan), y), exporter(gateway), keras.callbacks.TerminateOnNaN(), epochs=3)
    assert value(gateway, "gangplank_run_state", state="failed") == 1
    assert value(gateway, "gangplank_run_nonfinite_metrics") == 1
    assert np.isnan(value(gateway, "gangplank_train_loss") or 0)


def test_a_fit_that_stops_early_has_finished_with_the_weights_it_restored(
    gateway: Server, model: keras.Model, data: Data
) -> None:
    stop = keras.callbacks.EarlyStopping("loss", mode="max", patience=1, restore_best_weights=True)
    fit(model, data, stop, exporter(gateway, histogram_buckets=[0.0]), epochs=9)
    assert value(gateway, "gangplank_run_state", state="finished") == 1
    assert (value(gateway, "gangplank_run_epoch") or 0) < 9
    total = sum(float(keras.ops.convert_to_numpy(v).astype(np.float64).sum()) for v in model.trainable_variables)
    assert value(gateway, "gangplank_train_model_weights_sum") == pytest.approx(total)


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
    with pytest.raises(DeliveryError, match=rf"http://127\.0\.0\.1:{port} is out of reach"):
        fit(model, data, callback, epochs=3)
    with pytest.raises(DeliveryError, match="out of reach"):
        model.evaluate(*data, callbacks=[callback], verbose=0)


def test_disabled_it_is_no_op(model: keras.Model, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANGPLANK_DISABLED", "1")
    callback = TrainTestExporter("127.0.0.1:1", "digits", ignore_exceptions=False, histogram_buckets=[0.0])
    fit(model, data, callback, epochs=1, validation_data=data)
    model.evaluate(*data, callbacks=[callback], verbose=0)


def test_a_mistake_is_refused_at_construction() -> None:
    with pytest.raises(ConfigurationError, match="increase strictly"):
        TrainTestExporter("gateway:9091", "digits", histogram_buckets=[1, 0])
    with pytest.raises(ConfigurationError, match="job is empty"):
        TrainTestExporter("gateway:9091", "")


def test_the_signature_is_the_published_one_and_keywords() -> None:
    parameters = inspect.signature(TrainTestExporter).parameters
    positional = {name: p.default for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD}
    assert positional == {
        "pgw_addr": inspect.Parameter.empty,
        "job": inspect.Parameter.empty,
        "metrics": None,
        "histogram_buckets": None,
        "handler": None,
        "ignore_exceptions": True,
    }
    assert {name for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY} == {
        *("grouping_key", "run", "concurrent", "per_rank", "info", "histogram_freq", "per_tensor"),
        "update_freq",
        *("push_interval", "timeout", "flush_timeout", "credentials", "sink"),
    }
    neutral = inspect.signature(gangplank.Run).parameters
    assert {name: p.default for name, p in parameters.items() if name in neutral} == {
        name: p.default for name, p in neutral.items() if name in parameters
    }
    assert issubclass(TrainTestExporter, keras.callbacks.Callback)
    assert gangplank.keras.TrainTestExporter is TrainTestExporter
