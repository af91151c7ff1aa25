"""Weights by name, and their counts: on a device as on the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import hypothesis.strategies as some
import numpy as np
import numpy.typing as npt
import pytest

from gangplank.core.arrays import named_arrays
from gangplank.core.device import count_on_device
from gangplank.core.histogram import count_weights

Weights = npt.NDArray[np.float32]


def names(weights: Any) -> list[str]:
    """Return the names of the arrays in something that holds weights."""
    return [name for name, _ in named_arrays(weights)]


def number_counted(weights: Any) -> int:
    """Return how many weights are counted, all arrays together."""
    return count_weights((array for _, array in named_arrays(weights)), [0.0]).total


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
