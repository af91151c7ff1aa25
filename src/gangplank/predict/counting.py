"""How many samples an output has."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

# Of a list or tuple, which may have very many texts or numbers, only so many items are searched if these have no array.
_LOOKED_AT = 8


def count_samples(output: Any) -> int | None:
    """Return how many samples an output has; None if it is symbolic, which means that nothing was predicted.

    - An array with at least one dimension: its first dimension. So a DataFrame has as many samples as rows.
    - A mapping of outputs: as many as the first array in it; 1 if there is none.
    - A list or tuple of arrays with the same first dimension, or of arrays and other things: one of outputs, as many as
      the first array with a dimension. Any other: one sample for each item, such as texts, dicts, numbers, or arrays of
      different lengths.
    - Anything else, such as a text, a number, or None, is one sample.
    """
    if shape := _shape(output):  # the most common case, and the fastest
        return None if _is_symbolic(output) else _known(shape[0])
    first = next(leaves(output), None)
    if first is not None and _is_symbolic(first):
        return None
    if isinstance(output, list | tuple):
        shapes = [_shape(one) for one in output] if first is not None else []
        lengths = [shape[0] for shape in shapes if shape]
        if not lengths or (len(set(lengths)) > 1 and all(shapes)):
            return len(output)
        return _known(lengths[0])
    shape = next(filter(None, map(_shape, leaves(output))), None)
    return 1 if shape is None else _known(shape[0])


def leaves(output: Any) -> Iterator[Any]:
    """Yield the arrays of an output, those without a dimension included."""
    if _shape(output) is not None:
        yield output
    elif isinstance(output, Mapping):
        for one in output.values():
            yield from leaves(one)
    elif isinstance(output, list | tuple) and any(map(_has_leaves, output[:_LOOKED_AT])):
        for one in output:
            yield from leaves(one)


def _has_leaves(output: Any) -> bool:
    return next(leaves(output), None) is not None


def _shape(leaf: Any) -> tuple[Any, ...] | None:
    """Return the shape of an array; None for anything else."""
    shape = getattr(leaf, "shape", None)
    if shape is None or isinstance(shape, tuple):
        return shape
    try:
        return tuple(shape)
    except TypeError:  # it is something else that has a shape
        return None
    except ValueError:  # of TensorFlow, whose number of dimensions is not known
        return (None,)


def _known(length: Any) -> int | None:
    """Return the length of a dimension; None if it is not known yet."""
    return length if isinstance(length, int) else None


def _is_symbolic(leaf: Any) -> bool:
    """Return whether an array stands for one that will be computed later, perhaps more than once."""
    kind = type(leaf)
    if kind.__module__ == "numpy":
        return False
    if kind.__name__ in ("KerasTensor", "FakeTensor"):
        return True
    if (jax := sys.modules.get("jax")) is not None and isinstance(leaf, jax.core.Tracer):
        return True
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(leaf, tensorflow.Tensor) and not hasattr(leaf, "numpy")
