"""What a function for drift may return."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gangplank import Drift
from gangplank.predict.drift import checked


def test_each_part_may_be_left_out() -> None:
    assert Drift() == (None, None, None) == checked(Drift())
    assert Drift(2, 0.5, 3.0) == Drift(drift_detected=2, p_value=0.5, test_statistic=3.0)


@pytest.mark.parametrize(
    ("drift", "is_read_as"),
    [
        (Drift(True), Drift(1)),
        (Drift(np.int64(3)), Drift(3)),  # type: ignore[arg-type]
        (Drift(np.bool_(0)), Drift(0)),  # type: ignore[arg-type]
        (Drift(p_value=np.float32(0.5), test_statistic=np.array(2.0)), Drift(None, 0.5, 2.0)),  # type: ignore[arg-type]
        (Drift(test_statistic=math.inf), Drift(None, None, math.inf)),
    ],
)
def test_numbers_of_any_kind_are_read(drift: Drift, is_read_as: Drift) -> None:
    assert checked(drift) == is_read_as


@pytest.mark.parametrize(
    ("drift", "error"),
    [
        (None, TypeError),
        ((1, 0.5, 2.0), TypeError),
        (True, TypeError),
        (Drift("1"), TypeError),  # type: ignore[arg-type]
        (Drift(p_value=np.zeros(2)), TypeError),  # type: ignore[arg-type]
        (Drift(-1), ValueError),
        (Drift(math.nan), ValueError),  # type: ignore[arg-type]
        (Drift(math.inf), ValueError),  # type: ignore[arg-type]
    ],
)
def test_anything_else_is_refused(drift: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        checked(drift)
