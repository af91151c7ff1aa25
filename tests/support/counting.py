"""Weights by name, and their counts: on a device as on the host."""

from __future__ import annotations

import logging.handlers
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import hypothesis.strategies as some
import numpy as np
import numpy.typing as npt
import pytest

import gangplank
from gangplank.core.weights.arrays import named_tensors
from gangplank.core.weights.device import count_on_device
from gangplank.core.weights.histogram import count_weights
from gangplank.testing import MemorySink

WEIGHTS = "gangplank_train_model_weights"
Weights = npt.NDArray[np.float32]


def names(weights: Any) -> list[str]:
    """Return the names of the arrays in something that holds weights."""
    return [name for name, _ in named_tensors(weights)]


def arrays_of(weights: Any) -> Iterator[Any]:
    """Yield the arrays in something that holds weights, one at a time."""
    return (read() for _, read in named_tensors(weights))


def number_counted(weights: Any) -> int:
    """Return how many weights are counted, all arrays together."""
    return count_weights(arrays_of(weights), [0.0]).total


def assert_costs_no_other(odd: Any, per_tensor: bool) -> list[str]:
    """Record three epochs with a tensor that cannot be counted, between two that can; return what was logged.

    The others are counted, and this one is counted as dropped, once.
    """
    weights = {"kernel": np.ones((2, 3), np.float32), "odd": odd, "bias": np.zeros(4, np.float32)}
    memory, handler = MemorySink(), logging.handlers.BufferingHandler(1_000)
    logging.getLogger("gangplank").addHandler(handler)
    try:
        with gangplank.run("memory", "a", sink=memory, histogram_buckets=[0.0], per_tensor=per_tensor) as run:
            for epoch in range(3):
                run.record({"loss": 1}, epoch=epoch, weights=weights)
    finally:
        logging.getLogger("gangplank").removeHandler(handler)
    if per_tensor:
        assert memory.value(f"{WEIGHTS}_count", tensor="kernel") == 6
        assert memory.value(f"{WEIGHTS}_count", tensor="bias") == 4
        assert memory.value(f"{WEIGHTS}_count", tensor="odd") is None
    else:
        assert memory.value(f"{WEIGHTS}_count") == 10
        assert memory.value(f"{WEIGHTS}_sum") == 6
    assert memory.value("gangplank_train_loss") == 1
    assert memory.value("gangplank_run_dropped_metrics_total", reason="weights") == 1
    return [record.getMessage() for record in handler.buffer]


@some.composite
def edges_and_weights(draw: Callable[[some.SearchStrategy[list[float]]], list[float]]) -> tuple[list[float], Weights]:
    """Edges, and weights of which many are at an edge or are not finite."""
    edges = sorted({edge + 0.0 for edge in draw(some.lists(some.sampled_from([-0.1, 0.0, 0.1, 1e-30, 65504.0])))})
    # None so small that XLA, or torch once it is told to, takes it for zero.
    special = some.sampled_from([*edges, 0.0, -0.0, np.nan, np.inf, -np.inf, 0.1, 1e-30])
    numbers = draw(some.lists(special, max_size=9))  # JAX compiles for each size
    with np.errstate(over="ignore"):
        return edges or [0.0], np.array(numbers, "f")


def weights_in_blocks() -> Weights:
    """Return three blocks of 1,000 weights and a rest; those at the seams are special."""
    array = np.random.default_rng(7).normal(0, 0.2, 3_007).astype(np.float32)
    array[[0, 999, 1000, 3_006]] = np.nan, np.inf, -np.inf, 0.3
    return array


def assert_counts_alike(on_device: Any, on_host: npt.NDArray[Any], edges: Sequence[float]) -> None:
    """Count on the device and on the host, and compare; the device may be the CPU, counted in the device's way."""
    there, here = count_on_device(on_device, edges), count_weights([on_host], edges)
    assert tuple(there.below) == here.counts
    assert (there.finite, there.nonfinite) == (here.total, here.nonfinite)
    assert there.sum == pytest.approx(here.sum, rel=1e-12, abs=1e-28)
