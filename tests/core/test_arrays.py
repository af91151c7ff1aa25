from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from gangplank.core.arrays import arrays_of

ONE, TWO = np.ones((2, 3), np.float32), np.arange(4, dtype=ml_dtypes.bfloat16)


@pytest.mark.parametrize(
    ("weights", "arrays"),
    [
        (ONE, [ONE]),
        ([ONE, TWO], [ONE, TWO]),
        ((ONE, TWO), [ONE, TWO]),
        ([("kernel", ONE), ("bias", TWO)], [ONE, TWO]),
        ({"a": {"kernel": ONE}, "b": [TWO, (ONE + 1,)]}, [ONE, TWO, ONE + 1]),
        ({"a": ONE, "tied": ONE}, [ONE]),
        ([ONE, ONE], [ONE]),
        ([0.5, 0.5], [np.array([0.5, 0.5])]),
        ([[0.5], [1]], [np.array([0.5]), np.array([1])]),
        (0.5, [np.array(0.5)]),
        ([], [np.array([])]),
        ({}, []),
    ],
)
def test_arrays_are_found_wherever_they_are(weights: Any, arrays: list[Any]) -> None:
    found = list(arrays_of(weights))
    assert len(found) == len(arrays)
    for one, expected in zip(found, arrays, strict=True):
        assert np.array_equal(one, expected)


def test_an_iterator_is_read_one_at_a_time() -> None:
    made = []

    def layers() -> Any:
        for index in range(3):
            made.append(index)
            yield np.full(2, index)

    arrays = arrays_of(layers())
    assert next(arrays).tolist() == [0, 0]
    assert made == [0]
    assert [array.tolist() for array in arrays] == [[1, 1], [2, 2]]


# In a process of their own: importing a framework costs seconds, and the other tests none of them


TORCH = """
import torch
from gangplank.core.arrays import arrays_of
net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)).bfloat16()
net[1].weight = torch.nn.Parameter(net[1].weight.detach(), requires_grad=False)
net.register_parameter("tied", net[0].weight)
print([array.shape for array in arrays_of(net)])
tensors = [torch.ones(2, requires_grad=True), torch.full((2,), 0.5, dtype=torch.bfloat16), torch.ones(1).half()]
print([array.tolist() for array in arrays_of(tensors)])
print([array.tolist() for array in arrays_of(dict(net.named_parameters()))] != [])
"""
JAX = """
import jax.numpy as jnp
from gangplank.core.arrays import arrays_of
dense = {"kernel": jnp.ones((2, 2)), "bias": jnp.zeros(2, jnp.bfloat16)}
tree = {"dense": dense, "layers": [jnp.ones(3), (jnp.ones(1),)]}
print([array.shape for array in arrays_of(tree)])
print([str(array.dtype) for array in arrays_of(tree)])
"""


@pytest.mark.parametrize(
    ("program", "printed"),
    [
        (TORCH, ["[(2, 3), (2,), (2,), (2,), (2,)]", "[[1.0, 1.0], [0.5, 0.5], [1.0]]", "True"]),
        (JAX, ["[(2, 2), (2,), (3,), (1,)]", "['float32', 'bfloat16', 'float32', 'float32']"]),
    ],
    ids=["torch", "jax"],
)
def test_frameworks_are_read_without_being_imported(program: str, printed: list[str]) -> None:
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == printed
