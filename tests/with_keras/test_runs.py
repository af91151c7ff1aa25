"""Which calls of Keras are runs, and how each ends."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from typing import Any

import keras
import numpy as np
import pytest

from gangplank.core.delivery import outbox
from support.keras_fits import Data, exporter, fit
from support.reading import eventually, samples, value
from support.servers import Server
from with_keras.version import VERSION


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


def test_the_next_fit_closes_a_fit_that_an_exception_ended(gateway: Server, model: keras.Model, data: Data) -> None:
    class Fails(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                raise ValueError("mine")

    callback = exporter(gateway, concurrent=True)
    fits = 5  # the frame of a fit may take the place in memory of the one before
    for _ in range(fits):
        with contextlib.suppress(ValueError):  # pytest.raises would keep the frame
            fit(model, data, callback, Fails(), epochs=3)
    fit(model, data, callback, epochs=1)
    for state, count in (("failed", fits), ("finished", 1), ("running", 0)):
        shown = samples(gateway.metrics(), "gangplank_run_state", state=state)
        assert sum(sample.value for sample in shown) == count


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
