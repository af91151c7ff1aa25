from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from support.counting import arrays_of

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
