"""The metrics that the user selected become float64 numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from typing import Any

from gangplank.core.errors import MetricError, kind_of
from gangplank.core.log import Log

_TEXT = (str, bytes, bytearray)


def scalar(value: Any) -> float:
    """Return a number, a 0-d array or a framework's scalar as a float64.

    Args:
        value: a Python or NumPy number or bool; a 0-d NumPy, TensorFlow, JAX or torch array or variable, on any device
            (reading one from an accelerator waits for it).

    Raises:
        MetricError: it is not a number (text, None, a vector, a mapping, complex), or too large for a float64.
    """
    kind = kind_of(value)
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
        # torch warns if a tensor that requires a gradient is converted.
        found = float(value.detach() if hasattr(value, "detach") else value) if number and not shape else None
    except OverflowError:
        raise MetricError(f"{kind} too large for a float64", "too_large") from None
    except Exception as error:  # the types of frameworks raise anything
        raise MetricError(f"{kind} is not a number: {error}", "not_numeric") from error
    if shape:
        raise MetricError(f"an array of shape {shape} is not a single number", "not_numeric")
    if found is None:
        raise MetricError(f"{kind} is not a number", "not_numeric")
    return found


def whole(number: Any) -> int:
    """Return a position, such as an epoch or a step, as an int.

    Raises:
        MetricError: it is not a number, or not finite.
        OverflowError: it is too large for a float64.
    """
    try:
        found = int(number)
    except (TypeError, ValueError, OverflowError) as error:
        raise MetricError(f"{number!r:.100} is not a whole number", "not_numeric") from error
    float(found)
    return found


def _checked_name(name: object) -> str:
    """Return the name under which a framework logs a metric, or raise MetricError."""
    if not isinstance(name, str) or not name:
        raise MetricError("its name is not text", "name")
    return name


def _unused(name: str, used: Container[str]) -> str:
    """Return a name that is not used yet: two keys, such as 1 and "1", may have the same text."""
    number, unused = 1, name
    while unused in used:
        unused, number = f"{name}-{number}", number + 1
    return unused


class Selection:
    """The metrics of one run that the user wants.

    Args:
        wanted: their names; None for all metrics that are numbers.
        log: reports dropped metrics.
        raises: raise if a wanted metric cannot be exported, instead of dropping it.
    """

    def __init__(self, wanted: frozenset[str] | None, *, log: Log, raises: bool) -> None:
        self._wanted = wanted
        self._log = log
        self._raises = raises
        self._missing = set(wanted or ())
        self._any = False

    def scalars(self, metrics: Mapping[str, Any]) -> tuple[dict[str, float], Counter[str]]:
        """Return the wanted metrics as float64, and how many were dropped, by reason.

        Raises:
            MetricError: a metric cannot be exported, and `raises` is true.
        """
        self._any = self._any or bool(metrics)
        values: dict[str, float] = {}
        dropped: Counter[str] = Counter()
        refused: dict[str, tuple[object, ...]] = {}
        for name, value in metrics.items():
            if self._wanted is not None:
                if name not in self._wanted:
                    continue
                self._missing.discard(name)
            try:
                # The type checks are for speed: they save two calls for nearly all metrics.
                name = name if type(name) is str and name else _checked_name(name)  # noqa: PLW2901
                values[name] = value if type(value) is float else scalar(value)
            except MetricError as error:
                # By default all metrics that are numbers are wanted: then one that is not a number is not an error.
                if self._raises and (self._wanted is not None or error.reason == "too_large"):
                    raise MetricError(f"the metric {name!r} cannot be exported: {error}", error.reason) from None
                dropped[error.reason] += 1
                refused[f"{name!r:.200}"] = f"{name!r:.200}", error
        if refused:
            self._log.warn_of_each("The metric %s is not exported: %s", refused)
        return values, dropped

    def all_scalars(self, numbers: Mapping[Any, Any]) -> tuple[dict[str, float], Counter[str]]:
        """Return all numbers by name, selected or not; what is not a number is dropped, counted and reported."""
        values: dict[str, float] = {}
        dropped: Counter[str] = Counter()
        refused: dict[str, tuple[object, ...]] = {}
        for name, value in numbers.items():
            try:
                values[_unused(str(name).encode(errors="replace").decode(), values)] = scalar(value)
            except MetricError as error:
                dropped[error.reason] += 1
                refused[f"{name!r:.200}"] = f"{name!r:.200}", error
        if refused:
            self._log.warn_of_each("The learning rate %s is not exported: %s", refused)
        return values, dropped

    def appeared(self, name: str) -> None:
        """Note that a wanted metric is exported in another way: it is not missing."""
        self._missing.discard(name)

    def report_missing(self, phase: str) -> None:
        """Log wanted metrics that never appeared; those that begin with `val_` or `eval_` may appear in a fit only."""
        missing = [one for one in sorted(self._missing) if phase == "train" or not one.startswith(("val_", "eval_"))]
        if self._any:
            message = "The metric %s was asked for and never appeared"
            self._log.warn_of_each(message, {name: (f"{name!r:.200}",) for name in missing})
