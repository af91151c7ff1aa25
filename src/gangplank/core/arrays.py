"""Weights, whoever holds them -> arrays with names, one at a time; no framework is imported."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from gangplank.core.device import is_counted_where_it_is


def named_arrays(weights: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the arrays in something that holds weights, with their names; what a container holds twice counts once.

    They are NumPy arrays, or tensors of an accelerator that are counted where they are.

    Args:
        weights: a NumPy array; a torch tensor, or a torch module, whose parameters that require a gradient count; a
            Keras model, whose trainable variables do; a JAX array, or a tree of them in mappings and sequences; pairs
            of name and array; or an iterable of any of these, which is read one at a time.
        name: what the name begins with; where nothing else names an array, its place does.
    """
    if hasattr(weights, "trainable_variables"):
        for variable in _once(weights.trainable_variables):
            yield getattr(variable, "path", None) or variable.name, _of_variable(variable)
    elif callable(getattr(weights, "parameters", None)):
        for own_name, parameter in _parameters(weights):
            if parameter.requires_grad:
                yield own_name, _of_tensor(parameter)
    elif hasattr(weights, "detach"):
        yield name, _of_tensor(weights)
    elif hasattr(weights, "__array__") or not isinstance(weights, Iterable) or _are_numbers(weights):
        yield name, weights if is_counted_where_it_is(weights) else np.asarray(weights)
    elif isinstance(weights, Mapping):
        yield from _of_each({id(one): (str(key), one) for key, one in weights.items()}.values(), name)
    elif isinstance(weights, tuple) and weights and isinstance(weights[0], str):
        yield from _of_each(((weights[0], one) for one in weights[1:]), name.rpartition("/")[0])
    else:
        # What an iterator makes may be gone when the next is made: only a container tells the same one by its identity.
        each = _once(weights) if isinstance(weights, list | tuple) else weights
        yield from _of_each(((str(place), one) for place, one in enumerate(each)), name)


def arrays_of(weights: Any) -> Iterator[Any]:
    """Yield the arrays of `named_arrays`."""
    for _, array in named_arrays(weights):
        yield array


def parameters_in(weights: Any) -> tuple[int, int] | None:
    """Return how many parameters of a model are trainable, and how many are not; None for what is no model.

    Args:
        weights: as for `named_arrays`; a torch module and a Keras model are models.
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


def _of_each(weights: Iterable[tuple[str, Any]], name: str) -> Iterator[tuple[str, Any]]:
    for own_name, one in weights:
        yield from named_arrays(one, f"{name}/{own_name}" if name else own_name)


def _once(weights: Iterable[Any]) -> Iterable[Any]:
    return {id(one): one for one in weights}.values()


def _are_numbers(weights: Iterable[Any]) -> bool:
    return isinstance(weights, list | tuple) and all(isinstance(one, int | float) for one in weights)


def _parameters(module: Any) -> Iterable[tuple[str, Any]]:
    if hasattr(module, "named_parameters"):
        named: Iterable[tuple[str, Any]] = module.named_parameters()
        return named
    return ((str(place), parameter) for place, parameter in enumerate(module.parameters()))


def _of_variable(variable: Any) -> Any:
    value = variable.value
    if hasattr(value, "detach"):
        return _of_tensor(value)
    return value if is_counted_where_it_is(value) else variable.numpy()


def _of_tensor(tensor: Any) -> Any:
    detached = tensor.detach()
    if is_counted_where_it_is(detached):
        return detached
    on_host = detached.cpu()
    try:
        return on_host.numpy()
    except TypeError:  # bfloat16 and float8, which NumPy has no type for; float32 holds each of their values
        return on_host.float().numpy()
