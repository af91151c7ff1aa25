"""What a test for drift finds."""

from __future__ import annotations

import math
from typing import Any, NamedTuple


class Drift(NamedTuple):
    """What a test for drift finds; each part may be left out.

    Attributes:
        drift_detected: how many incidents of drift were detected: 0 or more; True is one.
        p_value: how likely such data is without drift.
        test_statistic: how far the data is from what was expected.
    """

    drift_detected: int | None = None
    p_value: float | None = None
    test_statistic: float | None = None


def checked(drift: Any) -> Drift:
    """Return what a function for drift has returned, as numbers of Python.

    Raises:
        TypeError: it is not a Drift, or a part of it is not a number.
        ValueError: the count is negative, NaN or infinite.
    """
    if not isinstance(drift, Drift):
        raise TypeError(f"it returned {type(drift).__name__}, not gangplank.Drift")
    count = _number("drift_detected", drift.drift_detected)
    if count is not None and not (count >= 0 and math.isfinite(count)):
        raise ValueError(f"drift_detected={count}: a count is 0 or more")
    p_value, statistic = _number("p_value", drift.p_value), _number("test_statistic", drift.test_statistic)
    return Drift(count, p_value, statistic)  # type: ignore[arg-type]  # the count is a float by now


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, str | bytes):
        raise TypeError(f"{name}={value!r} is not a number")
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}={value!r} is not a number") from error
