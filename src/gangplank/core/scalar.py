"""What a framework logs -> the float64 it stands for."""

from __future__ import annotations

from typing import Any

from gangplank.core.errors import MetricError

_TEXT = (str, bytes, bytearray)


def scalar(value: Any) -> float:
    """Return the float64 of a number, of a 0-d array or of a framework's scalar.

    Args:
        value: a Python or NumPy number or bool; a 0-d NumPy, TensorFlow, JAX or torch array or variable, on any device
            (reading one from an accelerator waits for it).

    Raises:
        MetricError: it is no number (text, None, a vector, a mapping, complex), or too large for a float64.
    """
    kind = type(value).__name__
    try:
        dtype = getattr(value, "dtype", None)
        # float() would read text and drop imaginary parts.
        number = (
            hasattr(type(value), "__float__")
            and not isinstance(value, _TEXT)
            and getattr(dtype, "kind", "f") not in "USOMm"
            and "complex" not in str(dtype)
        )
        shape = tuple(getattr(value, "shape", ())) if number else ()
        # torch warns where a tensor that requires a gradient becomes a number.
        found = float(value.detach() if hasattr(value, "detach") else value) if number and not shape else None
    except OverflowError:
        raise MetricError(f"a {kind} too large for a float64", "too_large") from None
    except Exception as error:  # whatever a framework's type raises, the value is no number
        raise MetricError(f"a {kind} is no number: {error}", "not_numeric") from error
    if shape:
        raise MetricError(f"an array of shape {shape} is no single number", "not_numeric")
    if found is None:
        raise MetricError(f"a {kind} is no number", "not_numeric")
    return found
