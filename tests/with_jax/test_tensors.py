"""JAX's arrays as weights: named, and counted the same wherever they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from gangplank import HISTOGRAM_WEIGHT_BUCKETS_0_3
from gangplank.core.weights import device
from support.counting import (
    Weights,
    arrays_of,
    assert_counts_alike,
    edges_and_weights,
    number_counted,
    weights_in_blocks,
)


def test_the_leaves_of_a_tree_are_found() -> None:
    dense = {"kernel": jnp.ones((2, 2)), "bias": jnp.zeros(2, jnp.bfloat16)}
    tree = {"dense": dense, "layers": [jnp.ones(3), (jnp.ones(1),)]}
    assert [array.shape for array in arrays_of(tree)] == [(2, 2), (2,), (3,), (1,)]
    assert [str(array.dtype) for array in arrays_of(tree)] == ["float32", "bfloat16", "float32", "float32"]


# On the accelerator: the same counts as on the host. Its way is taken on the CPU here.

KINDS: dict[str, Callable[[Weights], Any]] = {
    "float32": jnp.asarray,
    "bfloat16": lambda array: jnp.asarray(array, jnp.bfloat16),
    "float16": lambda array: jnp.asarray(array, jnp.float16),
}


@pytest.mark.parametrize("kind", KINDS)
@hypothesis.settings(max_examples=25)
@hypothesis.given(edges_and_weights())
def test_on_a_device_the_counts_are_the_same(kind: str, drawn: tuple[list[float], Weights]) -> None:
    edges, weights = drawn
    with np.errstate(over="ignore"):
        array = KINDS[kind](weights)
        assert_counts_alike(array, np.asarray(array), edges)


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_on_a_device_blocks_join_without_a_seam(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "BLOCK", 1000)
    array = KINDS[kind](weights_in_blocks())
    assert_counts_alike(array, np.asarray(array), HISTOGRAM_WEIGHT_BUCKETS_0_3)


def test_what_is_on_a_device_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "gangplank.core.weights.arrays.is_counted_on_device", lambda array: not isinstance(array, np.ndarray)
    )
    tree = [jnp.ones((4, 2)), {"kernel": jnp.ones((2, 2), jnp.bfloat16)}]
    assert all(isinstance(array, jax.Array) for array in arrays_of(tree))
    assert number_counted(tree) == 12


def test_on_the_host_nothing_is_counted_elsewhere() -> None:
    held = [jnp.ones(2), np.ones(2), np.ones(2, ml_dtypes.bfloat16)]
    assert all(isinstance(array, np.ndarray) for array in arrays_of(held))
