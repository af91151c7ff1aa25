"""Weights on an accelerator are counted there: only the counts are copied to the host.

No framework is imported: the code that made the arrays has imported it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gangplank.core.errors import MetricError

# Weights per block: counting takes a few more bytes of device memory for each.
BLOCK = 1 << 22


class Counted(NamedTuple):
    """The counts of an array: finite weights up to each edge, all finite weights, their sum, nonfinite weights."""

    below: list[int]
    finite: int
    sum: float
    nonfinite: int


def is_counted_on_device(array: Any) -> bool:
    """Return whether an array is counted on its accelerator: a CUDA device of torch, or any device of JAX."""
    if hasattr(array, "detach"):
        return bool(array.is_cuda)
    # Computations with an array that is spread over several processes need all of them at the same time.
    return (
        _is_of_jax(array) and array.is_fully_addressable and any(device.platform != "cpu" for device in array.devices())
    )


def count_on_device(array: Any, edges: Sequence[float]) -> Counted:
    """Count a torch tensor or a JAX array exactly, on its device.

    Args:
        array: of any shape; float64, or a float type whose values float32 can hold.
        edges: finite, increasing.

    Raises:
        MetricError: it does not hold real numbers.
    """
    if "complex" in str(array.dtype) or getattr(array, "is_quantized", False):
        raise MetricError(f"weights of dtype {array.dtype} are not real numbers", "weights")
    return _count_jax(array, edges) if _is_of_jax(array) else _count_torch(array, edges)


def rounded_down(edge: float, dtype: Any) -> Any:
    """Return the largest number of a NumPy dtype that is not above an edge: it makes `w <= edge` exact."""
    with np.errstate(over="ignore", under="ignore"):
        rounded = dtype.type(edge)
    return np.nextafter(rounded, dtype.type(-np.inf)) if float(rounded) > edge else rounded


def _is_of_jax(array: Any) -> bool:
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(array, jax.Array)


def _edges_for(edges: Sequence[float], *, double: bool) -> list[float]:
    dtype = np.dtype(np.float64 if double else np.float32)
    return [float(rounded_down(edge, dtype)) for edge in edges]


def _count_torch(tensor: Any, edges: Sequence[float]) -> Counted:
    torch = sys.modules["torch"]
    double = tensor.dtype == torch.float64
    exact = _edges_for(edges, double=double)
    whole = tensor.reshape(-1)
    counts = torch.zeros(len(exact) + 2, dtype=torch.int64, device=tensor.device)
    total = torch.zeros((), dtype=torch.float64, device=tensor.device)
    for start in range(0, whole.numel(), BLOCK):
        block = whole[start : start + BLOCK]
        block = block if double else block.float()
        finite = block.isfinite()
        lowest = block.eq(-torch.inf).sum()
        for place, edge in enumerate(exact):
            counts[place] += block.le(edge).sum() - lowest
        counts[-2] += finite.sum()
        counts[-1] += block.numel()
        total += block.where(finite, 0.0).sum(dtype=torch.float64)
    *below, finite_ones, all_ones = counts.tolist()  # waits for the device
    return Counted(below, finite_ones, float(total), all_ones - finite_ones)


def _count_jax(array: Any, edges: Sequence[float]) -> Counted:
    jax = sys.modules["jax"]
    double = array.dtype == np.float64
    dtype = np.dtype(np.float64 if double else np.float32)
    exact = np.array(_edges_for(edges, double=double), dtype)
    whole = array.reshape(-1)
    enable_x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64  # before JAX 0.8
    # Only for the float64 sum, whatever the training uses.
    with enable_x64(True):  # noqa: FBT003  JAX's own
        blocks = [_jax_counts()(whole[start : start + BLOCK], exact) for start in range(0, whole.size, BLOCK)]
        found = jax.device_get(blocks)  # waits once for all of them
    below = [int(sum(counts[place] for counts, _, _ in found)) for place in range(len(exact))]
    finite = int(sum(finite for _, finite, _ in found))
    return Counted(below, finite, float(sum(total for _, _, total in found)), int(whole.size) - finite)


@functools.cache
def _jax_counts() -> Any:
    jax, jnp = sys.modules["jax"], sys.modules["jax.numpy"]

    def count(block: Any, edges: Any) -> Any:
        block = block.astype(edges.dtype)
        finite = jnp.isfinite(block)
        below = jnp.sum(finite & (block <= edges[:, None]), axis=1)
        return below, jnp.sum(finite), jnp.sum(jnp.where(finite, block, 0).astype(np.float64))

    return jax.jit(count)
