"""Weights, whoever holds them -> NumPy arrays, one at a time; no framework is imported."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


def arrays_of(weights: Any) -> Iterator[npt.NDArray[Any]]:
    """Yield the arrays in something that holds weights; what a container holds twice counts once.

    Args:
        weights: a NumPy array; a torch tensor, or a torch module, whose parameters that require a gradient count; a
            Keras model, whose trainable variables do; a JAX array, or a tree of them in mappings and sequences; pairs
            of name and array; or an iterable of any of these, which is read one at a time.
    """
    if hasattr(weights, "trainable_variables"):
        for variable in _once(weights.trainable_variables):
            yield variable.numpy()
    elif callable(getattr(weights, "parameters", None)):
        for parameter in weights.parameters():
            if parameter.requires_grad:
                yield _of_tensor(parameter)
    elif hasattr(weights, "detach"):
        yield _of_tensor(weights)
    elif hasattr(weights, "__array__") or not isinstance(weights, Iterable) or _are_numbers(weights):
        yield np.asarray(weights)
    elif isinstance(weights, Mapping):
        yield from _of_each(_once(weights.values()))
    elif isinstance(weights, tuple) and weights and isinstance(weights[0], str):
        yield from _of_each(weights[1:])
    else:
        # What an iterator makes may be gone when the next is made: only a container tells the same one by its identity.
        yield from _of_each(_once(weights) if isinstance(weights, list | tuple) else weights)


def parameters_in(weights: Any) -> tuple[int, int] | None:
    """Return how many parameters of a model are trainable, and how many are not; None for what is no model.

    Args:
        weights: as for `arrays_of`; a torch module and a Keras model are models.
    """
    if hasattr(weights, "trainable_variables"):
        return _size(weights.trainable_variables), _size(weights.non_trainable_variables)
    if callable(getattr(weights, "parameters", None)):
        parameters = list(weights.parameters())
        trainable = [one for one in parameters if one.requires_grad]
        return _size(trainable), _size(parameters) - _size(trainable)
    return None


def _size(variables: Iterable[Any]) -> int:
    return sum(math.prod(one.shape) for one in _once(variables))


def _of_each(weights: Iterable[Any]) -> Iterator[npt.NDArray[Any]]:
    for one in weights:
        yield from arrays_of(one)


def _once(weights: Iterable[Any]) -> Iterable[Any]:
    return {id(one): one for one in weights}.values()


def _are_numbers(weights: Iterable[Any]) -> bool:
    return isinstance(weights, list | tuple) and all(isinstance(one, int | float) for one in weights)


def _of_tensor(tensor: Any) -> npt.NDArray[Any]:
    on_host = tensor.detach().cpu()
    try:
        array: npt.NDArray[Any] = on_host.numpy()
    except TypeError:  # bfloat16 and float8, which NumPy has no type for; float32 holds each of their values
        array = on_host.float().numpy()
    return array
