"""Measures weight histograms, in a worker: the time of each contestant, whose counts are checked."""

from __future__ import annotations

import functools
import importlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

from benchmarks.contest import MissingError, check

EDGES_13 = tuple(edge / 100 for edge in range(-30, 31, 5))
EDGES_21 = tuple(edge / 10 for edge in range(-10, 11))


@functools.lru_cache(maxsize=1)
def weights(size: int, dtype: str = "float32", kind: str = "normal") -> npt.NDArray[Any]:
    """Return weights, the same at each call; one in a thousand is zero or an edge, so that `<` and `<=` differ."""
    random = np.random.default_rng(1)
    part = min(size, 4_000_000)
    some = random.normal(0, 0.05, part) if kind == "normal" else random.uniform(-0.05, 0.05, part)
    some[:: 1 + part // max(1, part // 1000)] = random.choice(EDGES_13, some[:: 1 + part // max(1, part // 1000)].size)
    if dtype == "bfloat16":
        some = some.astype(importlib.import_module("ml_dtypes").bfloat16)
    whole: npt.NDArray[Any] = np.resize(some.astype(dtype, copy=False), size)
    return whole


def counted_by_sorting(array: npt.NDArray[Any], edges: Sequence[float]) -> list[int]:
    """Return how many weights are at or below each edge, computed by sorting."""
    values, repeats = np.unique(array.astype(np.float64), return_counts=True)
    before = np.concatenate([[0], np.cumsum(repeats)])
    return [int(before[place]) for place in np.searchsorted(values, edges, side="right")]


@functools.lru_cache(maxsize=8)
def expected(size: int, edges: tuple[float, ...], dtype: str = "float32", kind: str = "normal") -> list[int]:
    """Return the right counts; the weights repeat after the first 4 million."""
    part = weights(min(size, 4_000_000), dtype, kind)
    times, rest = divmod(size, part.size)
    whole, more = counted_by_sorting(part, edges), counted_by_sorting(part[:rest], edges)
    return [times * one + other for one, other in zip(whole, more, strict=True)]


def per_weight(work: Callable[[], Any], size: int, least: float = 0.2) -> tuple[float, Any]:
    """Return the nanoseconds per weight of some work, repeated for `least` seconds, and its result."""
    work()  # warm-up
    times, start = 0, time.perf_counter()
    while True:
        result = work()
        times += 1
        took = time.perf_counter() - start
        if took >= least:
            return 1e9 * took / size / times, result


def _rounded_edges(array: npt.NDArray[Any]) -> list[int]:
    """Return the counts of a loop over float32 weights, for which NumPy rounds the edge to float32, up or down."""
    return [int(np.count_nonzero(array <= edge)) for edge in EDGES_13]


# The contestants.


def ours(size: int, edges: list[float], dtype: str = "float32", kind: str = "normal") -> float:
    """Return our time per weight: counts, sum and non-finite weights."""
    histogram = importlib.import_module("gangplank.core.weights.histogram")
    right = expected(size, tuple(edges), dtype, kind)
    array = weights(size, dtype, kind)
    cost, counted = per_weight(lambda: histogram.count_weights([array], edges), size)
    check(list(counted.counts) == right, f"{size} weights: counted {counted.counts}, right is {right}")
    total = float(np.sum(array, dtype=np.float64))
    check(math.isclose(counted.sum, total, rel_tol=1e-9, abs_tol=1e-9 * size), f"sum {counted.sum}, right is {total}")
    check((counted.total, counted.nonfinite) == (size, 0), f"{counted.total} finite and {counted.nonfinite} others")
    return cost


def counts_alone(size: int) -> float:
    """Return our time per weight without the sum, and so without the check for non-finite weights."""
    histogram = importlib.import_module("gangplank.core.weights.histogram")
    right, array = expected(size, EDGES_13), weights(size)
    with mock.patch.object(histogram._Tally, "_sum", return_value=0.0):  # noqa: SLF001
        cost, counted = per_weight(lambda: histogram.count_weights([array], EDGES_13), size)
    check(list(counted.counts) == right, f"{size} weights: counted {counted.counts}, right is {right}")
    return cost


def read(size: int) -> float:
    """Return the time per weight of reading the memory once."""
    return per_weight(weights(size).sum, size)[0]


def observe(size: int) -> float:
    """Return the time per weight of prometheus_client's own histogram."""
    client = importlib.import_module("prometheus_client")
    array = weights(size)
    histogram = client.Histogram("weights", "Weights.", buckets=EDGES_13, registry=None)
    start = time.perf_counter()
    for weight in array:
        histogram.observe(weight)
    cost = 1e9 * (time.perf_counter() - start) / size
    samples = [sample.value for sample in histogram.collect()[0].samples if sample.name == "weights_bucket"]
    check(samples[:-1] == _rounded_edges(array), f"observe: {samples}")
    return cost


def tensorboard(size: int) -> float:
    """Return the time per weight of TensorBoard's histogram, as in Keras' callback, without the writing."""
    try:
        summary = importlib.import_module("tensorboard.plugins.histogram.summary_v2")
        tensorflow = importlib.import_module("tensorflow")
    except ImportError:
        raise MissingError("tensorboard and tensorflow are not installed") from None
    tensor = tensorflow.constant(weights(size))
    cost, buckets = per_weight(lambda: summary._buckets(tensor, 30).numpy(), size)  # noqa: SLF001  without the file
    check(buckets[:, 2].sum() == size, f"TensorBoard counted {buckets[:, 2].sum()} of {size}")
    return cost


def numpy_histogram(size: int) -> float:
    """Return the time per weight of `np.histogram`, which counts a weight on an edge in the other bucket."""
    array = weights(size)
    edges = [-np.inf, *EDGES_13, np.inf]
    return per_weight(lambda: np.histogram(array, edges), size)[0]


def published_loop(size: int) -> float:
    """Return the time per weight of the published gangplank's histogram, for a model with these weights."""
    keras, gangplank = importlib.import_module("keras"), importlib.import_module("gangplank")
    check(not hasattr(gangplank, "Run"), "the wrong version of gangplank is imported")
    model = keras.Sequential([keras.layers.Input((size // 10,)), keras.layers.Dense(10, use_bias=False)])
    array = weights(size // 10 * 10)
    model.layers[0].set_weights([array.reshape(-1, 10)])
    exporter = gangplank.TrainTestExporter("none", "none", histogram_buckets=EDGES_13)
    exporter.set_model(model)
    start = time.perf_counter()
    exporter._construct_histogram("weights")  # noqa: SLF001  without the push
    cost = 1e9 * (time.perf_counter() - start) / array.size
    got = [sample.value for family in exporter.registry.collect() for sample in family.samples]
    check(got[: len(EDGES_13)] == _rounded_edges(array), f"the published gangplank: {got}")
    return cost


def tiny(tensors: int) -> float:
    """Return how many seconds it takes to count many tensors of 100 weights."""
    histogram = importlib.import_module("gangplank.core.weights.histogram")
    array = weights(tensors * 100)
    parts = [part.copy() for part in array.reshape(tensors, 100)]
    start = time.perf_counter()
    counted = histogram.count_weights(parts, EDGES_13)
    took = time.perf_counter() - start
    check(list(counted.counts) == counted_by_sorting(array, EDGES_13), "tiny tensors: wrong counts")
    return took


def memory(megabytes: int, kind: str) -> float:
    """Return by how many megabytes counting a model raises the peak of this process's memory."""
    arrays = importlib.import_module("gangplank.core.weights.arrays")
    histogram = importlib.import_module("gangplank.core.weights.histogram")
    model = list(_matrices(megabytes))
    right = np.sum([counted_by_sorting(one, EDGES_13) for one in model], axis=0).tolist()
    if kind == "torch module":
        torch = importlib.import_module("torch")
        held: Any = torch.nn.ParameterList([torch.nn.Parameter(torch.from_numpy(one)) for one in model])
    elif kind == "Keras model":
        keras = importlib.import_module("keras")
        held = keras.Sequential([keras.layers.Dense(1024, use_bias=False) for _ in model])
        held.build((None, 1024))
        for variable in held.trainable_variables:
            variable.assign(model.pop(0))
    else:
        held = model
    before = _forget_peak()
    counted = histogram.count_weights(arrays.arrays_of(held), EDGES_13)
    grown = _status("VmHWM") - before
    check(list(counted.counts) == right, f"{kind}: counted {counted.counts}, right is {right}")
    return grown


def _matrices(megabytes: int) -> Iterator[npt.NDArray[np.float32]]:
    random = np.random.default_rng(1)
    for _ in range(megabytes // 4):
        yield random.standard_normal((1024, 1024), dtype=np.float32) * np.float32(0.05)


def _forget_peak() -> float:
    """Reset the peak, and return the memory that is used now, in megabytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1000
