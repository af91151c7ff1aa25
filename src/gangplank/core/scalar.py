"""What a framework logs -> the float64 it stands for."""

from __future__ import annotations

from typing import Any

from gangplank.core.errors import MetricError


def scalar(value: Any) -> float:
    """Return the float64 of a number, of a 0-d array or of a framework's scalar.

    Args:
        value: a Python or NumPy number or bool; a 0-d NumPy, TensorFlow, JAX or torch array or variable, on any device
            (reading one from an accelerator waits for it).

    Raises:
        MetricError: it is no number (text, None, a vector, a mapping, complex), or too large for a float64.
    """
    if type(value) is float:  # by far the most frequent
        return value
    kind = type(value).__name__
    dtype = getattr(value, "dtype", None)
    # float() would read text and drop imaginary parts.
    if (
        isinstance(value, str | bytes | bytearray)
        or not hasattr(type(value), "__float__")
        or getattr(dtype, "kind", "f") in "USOMm"
        or "complex" in str(dtype)
    ):
        raise MetricError(f"a {kind} is no number", "not_numeric")
    try:
        shape = tuple(getattr(value, "shape", ()))
        # torch warns where a tensor that requires a gradient becomes a number.
        number = None if shape else float(value.detach() if hasattr(value, "detach") else value)
    except OverflowError:
        raise MetricError(f"a {kind} too large for a float64", "too_large") from None
    except Exception as error:  # whatever a framework's type raises, the value is no number
        raise MetricError(f"a {kind} is no number: {error}", "not_numeric") from error
    if number is None:
        raise MetricError(f"an array of shape {shape} is no single number", "not_numeric")
    return number
