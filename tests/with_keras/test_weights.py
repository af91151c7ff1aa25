"""Weights and parameters, each counted once."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest

from gangplank import HISTOGRAM_WEIGHT_BUCKETS_0_3
from support.keras_fits import Data, compiled, exporter, fit
from support.reading import samples, value
from support.servers import Server


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


def test_another_model_that_callbacks_measure_inside_a_fit_is_not_counted(
    gateway: Server, model: keras.Model, data: Data
) -> None:
    other = compiled(nested())
    callback = exporter(gateway, histogram_buckets=[0.0])
    measures = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda *_: other.evaluate(*data, callbacks=[callback], verbose=0),
        on_epoch_end=lambda *_: other.predict(data[0], callbacks=[callback], verbose=0),
    )
    history = fit(model, data, measures, callback, epochs=2)
    assert value(gateway, "gangplank_train_loss") == history["loss"][-1]
    assert value(gateway, "gangplank_train_model_weights_count") == 144 + 32 + 51
    assert value(gateway, "gangplank_train_model_parameters", trainable="true") == 144 + 32 + 51
    assert value(gateway, "gangplank_run_step") == 8
