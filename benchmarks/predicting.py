"""Measures an instrumented model, in a worker: a small model of Keras predicts, with and without a drift function."""

from __future__ import annotations

import importlib
import statistics
import time
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from benchmarks.contest import check

BATCH, INPUTS = 32, 64


def added(calls: int, *, drift: bool) -> dict[str, float]:
    """Return the microseconds that a `predict` takes, and those that PrometheusModel adds to it: the medians.

    The model itself is asked in turns, in the same way: what the clock takes is not added by PrometheusModel.

    Args:
        calls: how many to time, of each.
        drift: whether there is a drift function: a chi-square test on the predicted classes.
    """
    keras = importlib.import_module("keras")
    gangplank = importlib.import_module("gangplank")
    model = keras.Sequential([keras.Input((INPUTS,)), keras.layers.Dense(10, activation="softmax")])
    inside: list[float] = []
    predict = model.predict

    def timed(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        result = predict(*args, **kwargs)
        inside.append(time.perf_counter() - start)
        return result

    def chi_square(_: Any, predicted: Any) -> Any:
        counts = np.bincount(predicted.argmax(axis=1), minlength=10)
        test = importlib.import_module("scipy.stats").chisquare(counts)
        return gangplank.Drift(p_value=test.pvalue, test_statistic=test.statistic)

    model.predict = timed
    registry = CollectorRegistry()
    proxy = gangplank.PrometheusModel(model, registry, None, chi_square if drift else None)
    x = np.random.default_rng(0).random((BATCH, INPUTS), np.float32)
    around: dict[Any, list[float]] = {model: [], proxy: []}
    for _ in range(calls):
        for each, seconds in around.items():
            start = time.perf_counter()
            each.predict(x, verbose=0)
            seconds.append(time.perf_counter() - start - inside[-1])
    check(registry.get_sample_value("gangplank_predict_total") == calls * BATCH, "predictions")
    bare, measured = map(statistics.median, around.values())
    return {"predict": 1e6 * statistics.median(inside), "added": 1e6 * (measured - bare)}
