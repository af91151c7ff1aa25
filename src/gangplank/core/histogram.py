"""Weight arrays -> exact bucket counts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gangplank.core.errors import MetricError

# Weights per block: 128 kB of float32, which stays in a core's cache while every edge is compared with it.
BLOCK = 32_768


@dataclass(frozen=True, slots=True)
class WeightCounts:
    """The weights of a model at one moment, as a Prometheus histogram has them.

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


def count_weights(arrays: Iterable[npt.NDArray[Any]], edges: Sequence[float]) -> WeightCounts:
    """Count weights exactly, array by array and block by block, so that no copy of a model is made.

    Args:
        arrays: of any shape and any float or integer dtype (ml_dtypes' bfloat16 and float8 too).
        edges: finite, strictly increasing.

    Raises:
        MetricError: an array does not hold real numbers.
    """
    tally = _Tally(edges)
    for array in arrays:
        tally.add(array)
    return tally.counted()


class _Tally:
    """The counts so far."""

    def __init__(self, edges: Sequence[float]) -> None:
        self._edges = tuple(edges)
        self._counts = [0] * len(self._edges)
        self._sums: list[float] = []
        self._total = 0
        self._nonfinite = 0
        self._below = np.empty(BLOCK, dtype=np.bool_)
        self._edges_in: dict[np.dtype[Any], list[Any]] = {}

    def add(self, array: npt.NDArray[Any]) -> None:
        dtype = _comparable(array.dtype)
        edges = self._edges_in.get(dtype)
        if edges is None:
            edges = self._edges_in[dtype] = [_round_down(edge, dtype) for edge in self._edges]
        weights = array.reshape(-1)
        for start in range(0, weights.size, BLOCK):
            self._add_block(weights[start : start + BLOCK].astype(dtype, copy=False), edges)

    def _add_block(self, block: npt.NDArray[Any], edges: list[Any]) -> None:
        total = _sum(block)
        if not math.isfinite(total):  # a finite sum proves that every weight is finite
            finite = block[np.isfinite(block)]
            self._nonfinite += block.size - finite.size
            block, total = finite, _sum(finite)
        self._total += block.size
        self._sums.append(total)
        below = self._below[: block.size]
        for i, edge in enumerate(edges):
            self._counts[i] += int(np.count_nonzero(np.less_equal(block, edge, out=below)))

    def counted(self) -> WeightCounts:
        try:
            total = math.fsum(self._sums)
        except (OverflowError, ValueError):  # beyond float64: as IEEE adds them
            total = sum(self._sums)
        return WeightCounts(self._edges, tuple(self._counts), self._total, total, self._nonfinite)


def _sum(block: npt.NDArray[Any]) -> float:
    # float64 at least; an overflow to infinity, and what comes of two, is the caller's to look at.
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sum(block, dtype=np.promote_types(block.dtype, np.float64)))


def _comparable(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which weights of this dtype are compared with edges, exactly."""
    if dtype in (np.float32, np.float64, np.longdouble):
        return dtype.newbyteorder("=")
    if np.issubdtype(dtype, np.integer) or dtype == np.bool_:
        return np.dtype(np.float64)
    if np.can_cast(dtype, np.float32) and not np.issubdtype(dtype, np.complexfloating):
        return np.dtype(np.float32)  # float16, bfloat16 and float8: float32 holds each of their values
    raise MetricError(f"weights of dtype {dtype} are no real numbers: they are not counted", "weights")


def _round_down(edge: float, dtype: np.dtype[Any]) -> Any:
    """Return the largest number of a dtype that is not above an edge: `w <= edge` is then exact in that dtype."""
    with np.errstate(over="ignore", under="ignore"):
        rounded = dtype.type(edge)
    return np.nextafter(rounded, dtype.type(-np.inf)) if float(rounded) > edge else rounded
