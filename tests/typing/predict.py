"""What may be written of models in production, and what type checkers refuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_type

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry

from gangplank import Drift, PrometheusModel, instrument

Array = npt.NDArray[np.float64]


class Module:
    def __call__(self, x: Array) -> Array:
        return x

    def eval(self) -> Module:
        return self


def drift(x: Array, y: Array) -> Drift:
    return Drift(drift_detected=int(x.sum() > y.sum()), p_value=0.5, test_statistic=None)


def models(model: Module) -> None:
    registry = CollectorRegistry()
    with PrometheusModel(model, registry, 8561, drift, name="digits", version="3", host="127.0.0.1") as served:
        assert_type(served, PrometheusModel)
        assert_type(served.port, int | None)
        assert_type(served.registry, CollectorRegistry)
        served.predict(np.zeros(3), verbose=0)
        served.predict_on_batch(x=np.zeros(3))
        served(np.zeros(3), training=False)
        served.summary()
        served.trainable = False
    PrometheusModel(model=model, port=None, get_drift_metrics_func=None)

    PrometheusModel()  # type: ignore[call-arg]
    PrometheusModel(model, port="8561")  # type: ignore[arg-type]
    PrometheusModel(model, registry, 8561, drift, "digits")  # type: ignore[call-arg]
    PrometheusModel(model, version=3)  # type: ignore[arg-type]
    PrometheusModel(model, get_drift_metrics_func=lambda x, y: 0.5)  # type: ignore[arg-type, return-value]
    served.port = 3  # type: ignore[misc]


def functions(model: Module) -> None:
    @instrument
    def classify(texts: list[str]) -> list[int]:
        return [len(text) for text in texts]

    async def classify_later(texts: list[str]) -> list[int]:
        return classify(texts)

    def stream(text: str) -> Iterator[str]:
        yield from text

    assert_type(classify(["a"]), list[int])
    later = instrument(classify_later, name="spam", count_samples=len)
    later(["a"]).close()
    assert_type(next(instrument(stream, get_drift_metrics_func=None)("a")), str)
    served = instrument(model, version="3", registry=CollectorRegistry(), get_drift_metrics_func=drift)
    assert_type(served, Module)
    assert_type(served.eval()(np.zeros(3)), Array)

    instrument()  # type: ignore[call-arg]
    instrument(classify, "spam")  # type: ignore[call-arg]
    instrument(classify, count_samples=3)  # type: ignore[arg-type]
    classify("a", "b")  # type: ignore[call-arg, arg-type]


def results() -> None:
    assert_type(Drift().p_value, float | None)
    assert_type(Drift(3).drift_detected, int | None)

    Drift("3")  # type: ignore[arg-type]
    Drift(p=0.5)  # type: ignore[call-arg]
