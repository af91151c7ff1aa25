"""What `instrument` takes and refuses, and what its options do."""

from __future__ import annotations

import asyncio
import functools
import pickle
from typing import Any, TypeVar

import numpy as np
import prometheus_client
import pytest
from prometheus_client import CollectorRegistry

from gangplank import ConfigurationError, Drift, instrument
from support.predicted import Model, shown
from support.reading import eventually

T = TypeVar("T")

X = np.ones((4, 2))


class Doubles:
    """Something that can be called, and is no function."""

    factor = 2

    def __call__(self, x: Any) -> Any:
        return x * self.factor


def same(data: Any) -> Any:
    return data


def no_drift(_x: Any, _y: Any) -> Drift:
    return Drift()


def test_labels_are_those_that_are_given(registry: CollectorRegistry) -> None:
    instrument(same, name="churn", version="7", registry=registry)(X)
    assert shown(registry, "total", model="churn", version="7") == 4
    assert shown(registry, "latency_seconds_count", method="same", model="churn", version="7") == 1
    assert shown(registry, "total") is None


def test_the_default_registry_is_prometheus_clients() -> None:
    before = shown(prometheus_client.REGISTRY, "total", model="in the default registry") or 0
    instrument(same, name="in the default registry")(X)
    assert shown(prometheus_client.REGISTRY, "total", model="in the default registry") == before + 4


def test_it_is_a_decorator() -> None:
    @instrument
    def decorated(x: Any) -> Any:
        return x

    assert decorated(X) is X


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": ""}, "name is empty"),
        ({"version": 3}, "version=3: give text"),
        ({"count_samples": 3}, "count_samples is an int: give a function"),
        ({"get_drift_metrics_func": Drift()}, "get_drift_metrics_func is a Drift: give a function"),
    ],
)
def test_options_that_cannot_work_are_refused(registry: CollectorRegistry, options: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        instrument(same, registry=registry, **options)
    assert list(registry.collect()) == []


@pytest.mark.parametrize("target", [None, "model", Doubles, [same]])
def test_what_cannot_be_called_is_refused(target: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"such as model\.predict"):
        instrument(target)


def test_methods_in_the_body_of_a_class(registry: CollectorRegistry) -> None:
    given: list[Any] = []

    def remember(x: Any, _y: Any) -> Drift:
        given.append(x)
        return Drift()

    def instrumented(function: T) -> T:
        return instrument(function, registry=registry, get_drift_metrics_func=remember)

    class Service:
        @instrumented
        def method(self, x: Any) -> Any:
            return self, x

        @instrumented
        async def coroutine(self, x: Any) -> Any:
            return self, x

        @instrumented
        @functools.cache  # noqa: B019  a callable that is bound, and is no function
        def cached(self, x: Any) -> Any:
            return self, x

        @classmethod
        @instrumented
        def of_class(cls, x: Any) -> Any:
            return cls, x

        @instrumented
        @classmethod
        def of_class_too(cls, x: Any) -> Any:
            return cls, x

        @staticmethod
        @instrumented
        def static(x: Any) -> Any:
            return None, x

        @instrumented
        @staticmethod
        def static_too(x: Any) -> Any:
            return None, x

    service = Service()
    assert service.method(1) == Service.method(service, 1) == (service, 1)
    assert service.method(x=1) == (service, 1)
    assert asyncio.run(service.coroutine(2)) == (service, 2)
    assert service.cached(3) == Service.cached(service, 3) == (service, 3)
    assert service.of_class(4) == Service.of_class(4) == service.of_class_too(4) == (Service, 4)
    assert service.static(5) == Service.static_too(5) == service.static_too(5) == (None, 5)
    eventually(lambda: shown(registry, "drift_checks_total", result="checked") == 12)
    assert sorted(given, key=str) == [1, 1, 2, 3, 3, 4, 4, 4, 5, 5, 5, {"x": 1}]
    assert shown(registry, "latency_seconds_count", method="of_class_too") == 1


def test_an_object_that_can_be_called(registry: CollectorRegistry) -> None:
    doubles = instrument(Doubles(), registry=registry, name="doubles")
    assert doubles(x=X).sum() == 16
    assert shown(registry, "batch_size_sum", method="__call__", model="doubles") == 4
    assert shown(registry, "total", model="doubles") == 4


def test_a_callable_that_has_a_name_goes_by_it(registry: CollectorRegistry) -> None:
    assert instrument(np.add, registry=registry)(X, X).sum() == 16
    assert shown(registry, "total") == 4
    assert shown(registry, "latency_seconds_count", method="add") == 1


def test_a_pickle_measures_in_the_default_registry(registry: CollectorRegistry) -> None:
    doubles = instrument(
        Doubles(), registry=registry, name="pickled", version="2", get_drift_metrics_func=no_drift, count_samples=len
    )
    again = pickle.loads(pickle.dumps(doubles))
    again(X)
    assert shown(registry, "total", model="pickled", version="2") == 0
    assert shown(prometheus_client.REGISTRY, "total", model="pickled", version="2") == 4
    assert type(again) is not Doubles


def test_a_function_is_pickled_by_its_name() -> None:
    assert pickle.loads(pickle.dumps(decorated)) is decorated


@instrument
def decorated(x: Any) -> Any:
    return x


def test_a_model_may_be_instrumented_by_its_method(registry: CollectorRegistry) -> None:
    model = Model()
    model.predict = instrument(model.predict, registry=registry)  # type: ignore[method-assign]
    model.predict(X, verbose=0)
    assert shown(registry, "latency_seconds_count", method="predict") == 1
