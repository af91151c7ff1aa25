"""A Keras model in production, on each backend: what `predict` returns is counted, whatever it is."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from gangplank import Drift, PrometheusModel
from support.keras_fits import Data
from support.predicted import shown
from support.reading import eventually
from support.servers import free_port, get

X = np.ones((10, 8), np.float32)
BACKEND = keras.backend.backend()


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry that nothing is in."""
    return CollectorRegistry()


def two_headed(outputs: str) -> keras.Model:
    """Return a model with a list or a dict of outputs."""
    inputs = keras.Input((8,))
    heads = {"a": keras.layers.Dense(3)(inputs), "b": keras.layers.Dense(1)(inputs)}
    return keras.Model(inputs, heads if outputs == "dict" else list(heads.values()))


def test_each_way_to_predict_is_counted(model: keras.Model, registry: CollectorRegistry) -> None:
    served = PrometheusModel(model, registry, name="digits")
    expected = model.predict(X, verbose=0)
    assert np.array_equal(served.predict(X, verbose=0), expected)
    assert np.allclose(served.predict(X, 3, 0), expected, atol=1e-6)
    assert np.allclose(served.predict_on_batch(X), expected, atol=1e-6)
    assert served(X).shape == (10, 3)
    eventually(lambda: shown(registry, "call_total", model="digits") == 10)
    assert shown(registry, "total", model="digits") == 30
    assert shown(registry, "latency_seconds_count", method="predict", model="digits") == 2
    assert shown(registry, "latency_seconds_count", method="predict_on_batch", model="digits") == 1
    assert shown(registry, "in_flight", model="digits") == 0


@pytest.mark.parametrize("outputs", ["list", "dict"])
def test_several_outputs_are_samples_and_not_as_many(outputs: str, registry: CollectorRegistry) -> None:
    served = PrometheusModel(two_headed(outputs), registry)
    assert len(served.predict(X, verbose=0)) == 2
    served(X)
    eventually(lambda: shown(registry, "call_total") == 10)
    assert shown(registry, "total") == 10


def test_data_that_comes_in_batches(model: keras.Model, registry: CollectorRegistry) -> None:
    def batches() -> Iterator[Any]:
        yield (X[:6],)
        yield (X[:3],)

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Any:
            return (X[:5],)

    served = PrometheusModel(model, registry)
    assert served.predict(batches(), verbose=0, steps=2).shape == (9, 3)
    assert shown(registry, "total") == 9
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras 3.15 has changed how one is made
        assert served.predict(Batches(), verbose=0, steps=2).shape == (10, 3)
    assert shown(registry, "total") == 19


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow only")
def test_data_of_tensorflow(model: keras.Model, registry: CollectorRegistry) -> None:
    import tensorflow as tf  # noqa: PLC0415

    served = PrometheusModel(model, registry)
    served.predict(tf.data.Dataset.from_tensor_slices(X).batch(4), verbose=0)
    assert shown(registry, "total") == 10

    tf.function(lambda x: served(x))(tf.constant(X))  # noqa: PLW0108  a function to be traced
    assert shown(registry, "call_total") == 0
    served(tf.constant(X))
    assert shown(registry, "call_total") == 10


def test_calls_with_symbols_are_no_predictions(model: keras.Model, registry: CollectorRegistry) -> None:
    served = PrometheusModel(model, registry)
    for inputs in (keras.Input((8,)), keras.Input(batch_shape=(10, 8))):
        outer = keras.Model(inputs, served(inputs))
    outer.predict(X, batch_size=10, verbose=0)
    assert shown(registry, "call_total") == 0
    assert shown(registry, "in_flight") == 0


def test_a_call_that_fails_is_the_models_error(model: keras.Model, registry: CollectorRegistry) -> None:
    served = PrometheusModel(model, registry)
    with pytest.raises(Exception) as raised:  # noqa: PT011  of the backend
        served.predict(np.ones((10, 5)), verbose=0)
    assert shown(registry, "errors_total", method="predict", exception=type(raised.value).__name__) == 1
    assert (shown(registry, "total"), shown(registry, "time_seconds_total")) == (0, 0)


def test_everything_else_is_the_models(
    model: keras.Model, registry: CollectorRegistry, data: Data, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = PrometheusModel(model, registry)
    served.summary()
    assert "Total params" in capsys.readouterr().out
    assert served.count_params() == model.count_params()
    assert served.trainable_variables[0] is model.trainable_variables[0]
    served.trainable = False
    assert model.trainable is False
    served.trainable = True
    served.fit(*data, batch_size=100, verbose=0)
    served.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    for ours, theirs in zip(loaded.weights, model.weights, strict=True):
        assert np.array_equal(ours, theirs)
    assert inspect.signature(served.predict) == inspect.signature(model.predict)
    assert inspect.getdoc(served.predict) == inspect.getdoc(model.predict)
    assert repr(served) == repr(model)
    assert {*dir(model)} <= {*dir(served)}
    assert not isinstance(served, keras.Model)
    assert isinstance(served.model, keras.Model)


def test_copies_have_models_of_their_own(registry: CollectorRegistry) -> None:
    served = PrometheusModel(two_headed("list"), registry, name="copied")
    again = copy.deepcopy(served)
    assert again.model is not served.model
    loaded = pickle.loads(pickle.dumps(served))
    expected = served.predict(X, verbose=0)
    for copied in (again, loaded):
        for ours, theirs in zip(copied.predict(X, verbose=0), expected, strict=True):
            assert np.allclose(ours, theirs, atol=1e-6)
    assert shown(registry, "total", model="copied") == 20  # the one that was pickled has another registry


def test_drift_is_checked_with_what_was_predicted(model: keras.Model, registry: CollectorRegistry) -> None:
    given: list[Any] = []

    def drift(x: Any, y: Any) -> Drift:
        given.append((x.shape, y.shape))
        return Drift(drift_detected=2, p_value=0.01)

    with PrometheusModel(model, registry, None, drift) as served:
        served.predict(x=X, verbose=0)
        served.predict_on_batch(X)
    assert given == [((10, 8), (10, 3))] * 2
    assert shown(registry, "drift_detected_total") == 4


def test_a_script_of_0_5_works(model: keras.Model) -> None:
    results = iter([Drift(), Drift(p_value=0.25, test_statistic=3.0), Drift(7)])

    def get_drift_metrics(_x: Any, _y: Any) -> Drift:
        return next(results)

    port = free_port()
    served = PrometheusModel(model, port=port, get_drift_metrics_func=get_drift_metrics)
    try:
        for _ in range(3):
            assert len(served.predict(X, verbose=0)) == 10
        eventually(lambda: "gangplank_predict_drift_detected_total 7.0" in get(f"http://localhost:{port}/"))
        page = get(f"http://localhost:{port}/")
        for sample in ("total 30.0", "drift_p_value 0.25", "drift_test_statistic 3.0", "call_total 0.0"):
            assert f"\ngangplank_predict_{sample}\n" in page
        assert re.search(r"^gangplank_predict_time_seconds_total 0\.\d+|[1-9]", page, re.MULTILINE)
    finally:
        served.close()
