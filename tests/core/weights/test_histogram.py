"""Bucket counts against the plain definition: `le` is inclusive, NaN and infinities are counted apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gangplank import HISTOGRAM_WEIGHT_BUCKETS_0_3, ConfigurationError, MetricError
from gangplank.core.weights.buckets import HISTOGRAM_WEIGHT_BUCKETS_1_0, edges_of
from gangplank.core.weights.histogram import BLOCK, WeightCounts, count_weights

bfloat16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = [np.dtype(kind) for kind in ("float16", "float32", "float64", ">f4", "longdouble")]

finite = st.floats(allow_nan=False, allow_infinity=False)
edge_lists = st.lists(finite | st.sampled_from(HISTOGRAM_WEIGHT_BUCKETS_0_3), min_size=1, max_size=8).map(
    lambda edges: sorted({edge + 0.0 for edge in edges})
)


@st.composite
def arrays_and_edges(draw: st.DrawFn) -> tuple[list[npt.NDArray[Any]], list[float]]:
    """Arrays of any float dtype, some of their values exactly on edges, zeros, NaN and infinities among them."""
    edges = draw(edge_lists)
    dtypes = st.sampled_from([*DTYPES, bfloat16])
    values = st.lists(st.floats() | st.sampled_from(edges) | st.sampled_from([0.0, -0.0]), max_size=20)
    arrays = []
    for dtype, numbers in draw(st.lists(st.tuples(dtypes, values), max_size=3)):
        with np.errstate(over="ignore"):
            arrays.append(np.array(numbers, dtype=np.float64).astype(dtype))
    return arrays, edges


def by_definition(arrays: Sequence[npt.NDArray[Any]], edges: Sequence[float]) -> tuple[list[int], int, int]:
    weights = [weight for array in arrays for weight in array.astype(np.longdouble).ravel()]
    kept = [weight for weight in weights if np.isfinite(weight)]
    return [sum(bool(w <= np.longdouble(edge)) for w in kept) for edge in edges], len(kept), len(weights) - len(kept)


@given(arrays_and_edges())
@example(([np.array([0.1], np.float32)], [0.1]))  # the float32 of 0.1 is above the float64
@example(([np.array([-0.1], np.float32)], [-0.1]))
@example(([np.array([1e-45, 0.0], np.float32)], [1e-50]))
@example(([np.array([3.4e38, np.inf, -np.inf, np.nan], np.float32)], [-1e300, 1e300]))
@example(([np.array([65504, -65504], np.float16)], [-65504.0, 65503.9]))
def test_counts_are_exact(case: tuple[list[npt.NDArray[Any]], list[float]]) -> None:
    arrays, edges = case
    counted = count_weights(arrays, edges)
    assert (list(counted.counts), counted.total, counted.nonfinite) == by_definition(arrays, edges)


@given(st.lists(hnp.arrays(np.float32, st.integers(0, 50), elements=st.floats(width=32)), max_size=3))
def test_the_sum_is_the_float64_sum_of_the_finite_weights(arrays: list[npt.NDArray[np.float32]]) -> None:
    weights = [float(weight) for array in arrays for weight in array if np.isfinite(weight)]
    scale = math.fsum(abs(weight) for weight in weights)
    assert abs(Fraction(count_weights(arrays, [0.0]).sum) - sum(map(Fraction, weights))) <= scale * 1e-14


def test_float32_weights_are_summed_in_float64() -> None:
    weights = np.full(1_000_000, 0.1, np.float32)
    assert count_weights([weights], [0.0]).sum == pytest.approx(1_000_000 * float(np.float32(0.1)), rel=1e-12)


def test_what_a_sum_cannot_hold_is_infinite_as_ieee_has_it() -> None:
    assert count_weights([np.array([1.7e308, 1.7e308])], [0.0]).sum == math.inf


@pytest.mark.parametrize("size", [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
@pytest.mark.parametrize("spoil", [False, True])
def test_blocks_join_without_a_seam(size: int, spoil: bool) -> None:
    weights = np.random.default_rng(size).normal(0, 0.2, size).astype(np.float32)
    if spoil:
        weights[[0, size // 2, size - 1]] = np.nan, np.inf, -np.inf
    kept = weights[np.isfinite(weights)].astype(np.float64)
    counted = count_weights([weights], HISTOGRAM_WEIGHT_BUCKETS_0_3)
    assert counted.counts == tuple(int((kept <= edge).sum()) for edge in HISTOGRAM_WEIGHT_BUCKETS_0_3)
    assert counted.total == kept.size
    assert counted.nonfinite == (3 if spoil else 0)
    assert counted.sum == pytest.approx(math.fsum(kept), rel=1e-12)


def test_any_shape_order_and_nesting_counts_alike() -> None:
    square = np.arange(-8, 8, dtype=np.float32).reshape(4, 4) / 10
    expected = count_weights([square], [0.0, 0.5])
    assert count_weights([square.T], [0.0, 0.5]) == expected
    assert count_weights([square[:2], square[2:]], [0.0, 0.5]) == expected
    assert count_weights([np.array(0.25), np.array([0.25])], [0.25]).counts == (2,)


def test_integers_are_numbers_too() -> None:
    assert count_weights([np.array([-1, 0, 1], np.int8)], [0.0]) == WeightCounts((0.0,), (2,), 3, 0.0, 0)


def test_nothing_counts_as_nothing() -> None:
    assert count_weights([], [0.0]) == WeightCounts((0.0,), (0,), 0, 0.0, 0)
    assert count_weights([np.empty((0, 3), np.float16)], [0.0]) == WeightCounts((0.0,), (0,), 0, 0.0, 0)


@pytest.mark.parametrize("array", [np.array([1j]), np.array(["a"]), np.array([None]), np.array(["2026"], "M8[Y]")])
def test_what_is_no_real_number_is_refused(array: npt.NDArray[Any]) -> None:
    with pytest.raises(MetricError, match="not real numbers"):
        count_weights([array], [0.0])


def test_the_constants_are_the_floats_one_would_type() -> None:
    assert (
        *(-0.3, -0.25, -0.2, -0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3),
    ) == HISTOGRAM_WEIGHT_BUCKETS_0_3
    assert (
        *(-1.0, -0.9, -0.8, -0.7, -0.6, -0.5, -0.4, -0.3, -0.2, -0.1, 0.0),
        *(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    ) == HISTOGRAM_WEIGHT_BUCKETS_1_0


@pytest.mark.parametrize(
    "buckets",
    [
        *([], [0.0, 0.0], [1.0, 0.0], [0.0, math.inf], [math.nan], [-math.inf, 0.0], [0.0, None], [-0.0, 0.0]),
        *("auto", b"12", 3, [10**400], [1j], ["0.1"], [[0.1, 0.2]]),
    ],
)
def test_edges_that_are_none_are_refused_at_once(buckets: Any) -> None:
    with pytest.raises(ConfigurationError, match="histogram_buckets"):
        edges_of(buckets)


@given(edge_lists)
def test_edges_pass_as_they_are(edges: list[float]) -> None:
    assert list(edges_of(np.array(edges))) == edges
