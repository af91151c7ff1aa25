"""A model in production: what it returns is the model's, and what it does is shown."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import numpy as np
import prometheus_client
import pytest
from prometheus_client import CollectorRegistry

from gangplank import ConfigurationError, Drift, PrometheusModel
from support.predicted import Model, all_shown, shown

X = np.ones((4, 2))


def no_drift(_x: Any, _y: Any) -> Drift:
    return Drift()


def test_each_way_to_predict_is_counted(registry: CollectorRegistry) -> None:
    model = PrometheusModel(Model(), registry)
    assert model.predict(X).shape == (4, 3)
    assert model.predict_on_batch(X[:3]).shape == (3, 3)
    assert model(X[:2]).shape == (2, 3)
    assert all_shown(registry) == {
        "total": 7,
        "call_total": 2,
        "in_flight": 0,
        "untimed_total": 0,
        **{
            f"{name}{{'method': '{method}'}}": value
            for method, samples in (("predict", 4), ("predict_on_batch", 3), ("__call__", 2))
            for name, value in (("latency_seconds_count", 1), ("batch_size_count", 1), ("batch_size_sum", samples))
        },
    }
    for name in ("time_seconds_total", "call_time_seconds_total"):
        seconds = shown(registry, name)
        assert seconds is not None
        assert 0 < seconds < 5


def test_arguments_are_passed_on_as_they_are_given(registry: CollectorRegistry) -> None:
    model = PrometheusModel(Model(), registry)
    model.predict(X, 8, "auto", steps=3)
    model.predict(x=X, verbose=0)
    model.predict(X)
    assert [more for _, more in model.given] == [
        {"batch_size": 8, "verbose": "auto", "steps": 3},
        {"batch_size": None, "verbose": 0},
        {"batch_size": None, "verbose": "auto"},
    ]
    assert all(given is X for (given,), _ in model.given)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        model.predict(verbose=0)


def test_a_call_that_fails_moves_neither_counts_nor_times(registry: CollectorRegistry) -> None:
    model = PrometheusModel(Model(), registry, get_drift_metrics_func=no_drift)
    before = all_shown(registry)
    error = ValueError("of the model")
    for method in (model.predict, model.predict_on_batch, model):
        with pytest.raises(ValueError, match="of the model") as raised:
            method(error)
        assert raised.value is error
    model.close()
    errors = {
        f"errors_total{{'exception': 'ValueError', 'method': '{method}'}}": 1.0
        for method in ("__call__", "predict", "predict_on_batch")
    }
    assert all_shown(registry) == before | errors
    assert shown(registry, "time_seconds_total") == shown(registry, "call_time_seconds_total") == 0


def test_the_constructor_takes_what_it_took_in_0_5(registry: CollectorRegistry) -> None:
    inner = Model()
    model = PrometheusModel(inner, registry, None, no_drift)
    assert (model.model, model.registry, model.port) == (inner, registry, None)
    assert model.get_drift_metrics_func is no_drift
    named = PrometheusModel(model=inner, registry=registry, port=None, get_drift_metrics_func=None)
    assert named.get_drift_metrics_func is None
    assert PrometheusModel(inner).registry is prometheus_client.REGISTRY


def test_everything_else_is_the_models(registry: CollectorRegistry) -> None:
    inner = Model()
    model = PrometheusModel(inner, registry)
    assert model.summary() == "a model"
    assert model.eval() is model
    assert inner.trainable is False
    model.trainable = "partly"
    assert inner.trainable == "partly"  # type: ignore[comparison-overlap]
    assert repr(model) == repr(inner)
    assert str(model) == str(inner)
    assert {*dir(inner), "close", "port"} <= set(dir(model))
    assert inspect.signature(model.predict) == inspect.signature(inner.predict)
    assert inspect.getdoc(model.predict) == "Predict the rows of x."
    assert not isinstance(model, Model)
    assert isinstance(model.model, Model)


def test_what_is_its_own_cannot_be_set(registry: CollectorRegistry) -> None:
    model = PrometheusModel(Model(), registry)
    for name in ("model", "registry", "port", "predict"):
        with pytest.raises(AttributeError):
            setattr(model, name, None)


def test_a_class_derived_from_it_may_override_and_keep_attributes(registry: CollectorRegistry) -> None:
    class Scaled(PrometheusModel):
        def __init__(self, model: Any, **options: Any) -> None:
            super().__init__(model, registry, **options)
            self.scale = 2

        def predict(self, x: Any) -> Any:
            return super().predict(x * self.scale)

    model = Scaled(Model())
    for each in (model, copy.deepcopy(model)):
        assert each.predict(X).shape == (4, 3)
        assert each.given[-1][0][0].sum() == 16
    assert shown(registry, "total") == 8


def test_a_class_derived_from_it_may_have_properties_that_can_be_set(registry: CollectorRegistry) -> None:
    class Scaled(PrometheusModel):
        @property
        def scale(self) -> int:
            return int(self.model.factor)

        @scale.setter
        def scale(self, scale: int) -> None:
            self.model.factor = scale

    model = Scaled(Model(), registry)
    model.scale = 2
    assert (model.scale, model.model.factor) == (2, 2)


def test_a_model_that_only_predicts_or_can_only_be_called(registry: CollectorRegistry) -> None:
    class Predicts:
        def predict(self, x: Any) -> Any:
            return x

    predicts = PrometheusModel(Predicts(), registry)
    assert predicts.predict(X) is X
    with pytest.raises(AttributeError, match="predict_on_batch"):
        predicts.predict_on_batch(X)
    with pytest.raises(TypeError, match="not callable"):
        predicts(X)
    called = PrometheusModel(lambda x: x, registry)
    assert called(X) is X
    assert not hasattr(called, "predict")
    assert (shown(registry, "total"), shown(registry, "call_total")) == (4, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": 3}, "model is an int"),
        ({"port": "8561"}, "port='8561' is a str: give a number"),
        ({"port": True}, "port=True"),
        ({"port": -1}, "port=-1"),
        ({"port": 65_536}, "port=65536"),
        ({"port": 8561.0}, "port=8561.0 is a float"),
        ({"port": 0, "host": None}, "host is None: give an address"),
        ({"registry": None}, r"registry is None: give a prometheus_client\.CollectorRegistry"),
        ({"registry": 8561}, "registry is an int"),  # the second argument, meant as a port
        ({"name": ""}, "name is empty"),
        ({"version": b"1"}, "version"),
        ({"get_drift_metrics_func": 3}, "get_drift_metrics_func is an int"),
    ],
)
def test_arguments_that_cannot_work_are_refused(
    registry: CollectorRegistry, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        PrometheusModel(**{"model": Model(), "registry": registry, **arguments})
    assert list(registry.collect()) == []


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_measures_in_the_same_registry_and_has_no_port(registry: CollectorRegistry, copied: Any) -> None:
    with PrometheusModel(Model(), registry, 0, no_drift, name="a", version="1", host="127.0.0.1") as model:
        again = copied(model)
        assert type(again) is PrometheusModel
        assert again.model is not model.model
        assert (again.registry, again.port, again.get_drift_metrics_func) == (registry, None, no_drift)
        again.predict(X)
        again.close()
        assert model.port is not None
    assert shown(registry, "total", model="a", version="1") == 4
    assert shown(registry, "drift_checks_total", model="a", version="1", result="checked") == 1


def test_a_pickle_measures_in_the_default_registry(registry: CollectorRegistry) -> None:
    model = PrometheusModel(Model(), registry, None, no_drift, name="of a pickle", version="1")
    again = pickle.loads(pickle.dumps(model))
    assert type(again) is PrometheusModel
    assert (again.registry, again.get_drift_metrics_func) == (prometheus_client.REGISTRY, no_drift)
    again.predict(X)
    assert shown(registry, "total", model="of a pickle", version="1") == 0
    assert shown(prometheus_client.REGISTRY, "total", model="of a pickle", version="1") == 4


def test_a_model_that_is_closed_goes_on_measuring(registry: CollectorRegistry) -> None:
    with PrometheusModel(Model(), registry, 0, no_drift, host="127.0.0.1") as model:
        assert model.port
    model.close()
    assert model.port is None
    model.predict(X)
    assert shown(registry, "total") == 4
