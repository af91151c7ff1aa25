"""Weight arrays become exact bucket counts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gangplank.core.errors import MetricError
from gangplank.core.weights.arrays import Tensor
from gangplank.core.weights.device import count_on_device, rounded_down

# Weights per block: 512 kB of float32, which stay in the CPU cache while they are compared with each edge.
BLOCK = 131_072


@dataclass(frozen=True, slots=True)
class WeightCounts:
    """The weights of a model at one moment, as a Prometheus histogram counts them.

    Attributes:
        edges: upper bounds, increasing; shape (n,).
        counts: how many finite weights are <= each edge; shape (n,).
        total: how many weights are finite.
        sum: the float64 sum of the finite weights.
        nonfinite: how many weights are NaN or infinite; they are in none of the counts.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    total: int
    sum: float
    nonfinite: int

    def __add__(self, other: WeightCounts) -> WeightCounts:
        return WeightCounts(
            self.edges,
            tuple(mine + others for mine, others in zip(self.counts, other.counts, strict=True)),
            self.total + other.total,
            self.sum + other.sum,
            self.nonfinite + other.nonfinite,
        )


def count_weights(arrays: Iterable[Any], edges: Sequence[float]) -> WeightCounts:
    """Count weights exactly, array by array and block by block, without a copy of the model.

    Args:
        arrays: NumPy arrays of any shape and any float or integer dtype (ml_dtypes' bfloat16 and float8 too), or
            arrays on an accelerator, which stay there.
        edges: finite, strictly increasing.

    Raises:
        MetricError: an array does not hold real numbers.
    """
    tally = _Tally(edges)
    for array in arrays:
        tally.add(array)
    return tally.counted()


def count_tensors(
    tensors: Iterable[Tensor], edges: Sequence[float], most: int, lost: dict[str, Exception]
) -> tuple[dict[str, WeightCounts], int]:
    """Count the weights of each tensor; one that cannot be counted costs no other.

    Returns:
        The counts of the largest tensors by name, in their order, with those of all others under `other`; and how many
        tensors these others are. Without a count if there are tensors, and none of them can be counted.

    Args:
        tensors: arrays as for `count_weights`, with their names.
        edges: finite, strictly increasing.
        most: how many tensors to count separately; 0 counts all together, under "".
        lost: gets the tensors that cannot be counted: by name, what reading or counting them raised.
    """
    counted: dict[str, WeightCounts] = {}
    together, found = _Tally(edges), 0
    for name, read in tensors:
        try:
            if most:
                counts = count_weights([read()], edges)
                counted[name] = counted[name] + counts if name in counted else counts
            else:
                together.add(read())
            found += 1
        except Exception as error:  # noqa: BLE001  the types of frameworks raise anything
            lost[name] = error
    if not most:
        return ({"": together.counted()} if found or not lost else {}), 0
    sizes = {name: counts.total + counts.nonfinite for name, counts in counted.items()}
    kept = set(sorted(counted, key=lambda name: (-sizes[name], name))[:most])
    others = [counts for name, counts in counted.items() if name not in kept]
    largest = {name: counts for name, counts in counted.items() if name in kept}
    if others:
        start = largest.pop("other", None) or WeightCounts(tuple(edges), (0,) * len(edges), 0, 0.0, 0)
        largest["other"] = sum(others, start)
    return largest, len(others)


class _Tally:
    """The counts so far."""

    def __init__(self, edges: Sequence[float]) -> None:
        self._edges = tuple(edges)
        self._counts = [0] * len(self._edges)
        self._sums: list[float] = []
        self._total = 0
        self._nonfinite = 0
        self._below = np.empty(BLOCK, dtype=np.bool_)
        self._wide = np.empty(BLOCK)
        self._edges_in: dict[np.dtype[Any], list[tuple[int, Any, npt.NDArray[Any]]]] = {}
        # Small arrays are collected here by dtype: counting a block costs some time whatever its size.
        self._waiting: dict[np.dtype[Any], tuple[npt.NDArray[Any], int]] = {}

    def add(self, array: Any) -> None:
        """Count an array, or raise before any of it is counted."""
        if not isinstance(array, np.ndarray):
            below, finite, total, nonfinite = count_on_device(array, self._edges)
            self._counts = [counted + more for counted, more in zip(self._counts, below, strict=True)]
            self._sums.append(total)
            self._total += finite
            self._nonfinite += nonfinite
            return
        dtype = _comparable(array.dtype)
        weights = array.reshape(-1)
        if weights.size < BLOCK:
            block, filled = self._waiting.get(dtype) or (np.empty(BLOCK, dtype), 0)
            if filled + weights.size > BLOCK:
                self._add_block(block[:filled])
                filled = 0
            block[filled : filled + weights.size] = weights
            self._waiting[dtype] = block, filled + weights.size
            return
        for start in range(0, weights.size, BLOCK):
            self._add_block(weights[start : start + BLOCK].astype(dtype, copy=False))

    def _add_block(self, block: npt.NDArray[Any]) -> None:
        total = self._sum(block)
        if not math.isfinite(total):  # a finite sum proves that all weights are finite
            finite = block[np.isfinite(block)]
            self._nonfinite += block.size - finite.size
            block, total = finite, self._sum(finite)
        if not block.size:
            return
        self._total += block.size
        self._sums.append(total)
        below = self._below[: block.size]
        lowest, highest = block.min(), block.max()
        for place, edge, compared in self._in(block.dtype):
            if edge >= highest:
                self._counts[place] += block.size
            elif edge >= lowest:  # otherwise no weight of the block is below it
                self._counts[place] += int(np.count_nonzero(np.less_equal(block, compared, below)))

    def _sum(self, block: npt.NDArray[Any]) -> float:
        # The caller checks for an overflow to infinity, and for NaN as the sum of two infinities.
        with np.errstate(over="ignore", invalid="ignore"):
            if block.dtype.itemsize < self._wide.itemsize:  # copied first: NumPy takes longer to cast while it adds
                wide = self._wide[: block.size]
                wide[:] = block
                block = wide
            return float(block.sum())

    def _in(self, dtype: np.dtype[Any]) -> list[tuple[int, Any, npt.NDArray[Any]]]:
        """Return the edges in a dtype, as numbers, and as 0-d arrays, which compare faster."""
        if dtype not in self._edges_in:
            rounded = [rounded_down(edge, dtype) for edge in self._edges]
            self._edges_in[dtype] = [(place, edge, np.array(edge)) for place, edge in enumerate(rounded)]
        return self._edges_in[dtype]

    def counted(self) -> WeightCounts:
        for block, filled in self._waiting.values():
            self._add_block(block[:filled])
        self._waiting = {}
        try:
            total = math.fsum(self._sums)
        except (OverflowError, ValueError):  # beyond float64: the sum is infinite or NaN
            total = sum(self._sums)
        return WeightCounts(self._edges, tuple(self._counts), self._total, total, self._nonfinite)


def _comparable(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which weights of this dtype are compared with edges, exactly."""
    if dtype in (np.float32, np.float64, np.longdouble):
        return dtype.newbyteorder("=")
    if np.issubdtype(dtype, np.integer) or dtype == np.bool_:
        return np.dtype(np.float64)
    if np.can_cast(dtype, np.float32) and not np.issubdtype(dtype, np.complexfloating):
        return np.dtype(np.float32)  # float16, bfloat16 and float8: float32 holds all of their values
    raise MetricError(f"weights of dtype {dtype} are not real numbers", "weights")
