from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangplank import MetricError
from gangplank.core.recording.numbers import scalar


@given(st.floats())
def test_a_float_is_itself(value: float) -> None:
    assert np.array_equal(scalar(value), value, equal_nan=True)


@given(st.floats(width=32))
def test_a_float32_is_its_float64(value: float) -> None:
    assert np.array_equal(scalar(np.float32(value)), value, equal_nan=True)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        *((True, 1.0), (np.True_, 1.0), (7, 7.0), (np.int64(-2), -2.0), (np.array(0.5), 0.5), (Fraction(1, 4), 0.25)),
        *((Decimal("0.1"), 0.1), (np.array(1.5, ml_dtypes.bfloat16), 1.5), (ml_dtypes.bfloat16(2), 2.0)),
        *((2**70, 2.0**70), (np.longdouble(0.25), 0.25), (np.float16(0.1), 0.0999755859375)),
    ],
)
def test_numbers_of_every_kind_are_numbers(value: Any, number: float) -> None:
    assert scalar(value) == number
    assert type(scalar(value)) is float


class Broken:
    def __float__(self) -> float:
        raise RuntimeError("gone from the device")


@pytest.mark.parametrize(
    "value",
    [
        *("0.5", b"0.5", "nan", None, {}, {"loss": 1.0}, [0.5], (1,), object(), float, 1j, np.complex64(1), Broken()),
        *(np.array([0.5]), np.zeros((1, 1)), np.array("0.5"), np.str_("1"), np.array("0.5", object)),
        *(np.datetime64("2026-01-01"), np.array(1j), bytearray(b"1"), np.zeros(0)),
    ],
)
def test_what_is_no_single_number_is_refused(value: Any) -> None:
    with pytest.raises(MetricError) as refused:
        scalar(value)
    assert refused.value.reason == "not_numeric"


def test_what_a_float64_cannot_hold_is_refused() -> None:
    with pytest.raises(MetricError) as refused:
        scalar(10**400)
    assert refused.value.reason == "too_large"
    assert scalar(math.inf) == math.inf
