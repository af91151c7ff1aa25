"""Weights, whoever holds them -> arrays with names, one at a time; no framework is imported."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from gangplank.core.device import is_counted_where_it_is
from gangplank.core.errors import MetricError


def named_arrays(weights: Any) -> Iterator[tuple[str, Any]]:
    """Yield the arrays in something that holds weights, with their names; what is held twice counts once.

    They are NumPy arrays, or tensors of an accelerator that are counted where they are.

    Args:
        weights: a NumPy array; a torch tensor, or a torch module, whose parameters that require a gradient count; a
            Keras model, whose trainable variables do; a JAX array, or a tree of them in mappings and sequences; pairs
            of name and array; or an iterable of any of these, which is read one at a time. Where nothing else names an
            array, its place does.

    Raises:
        MetricError: an array is spread over several processes.
    """
    yield from _named(weights, "", set())


def _named(weights: Any, name: str, seen: set[object]) -> Iterator[tuple[str, Any]]:
    if hasattr(weights, "trainable_variables"):
        for variable in weights.trainable_variables:
            if _is_new(variable, seen):
                yield getattr(variable, "path", None) or variable.name, _of_variable(variable)
    elif callable(getattr(weights, "parameters", None)):
        for own_name, parameter in _parameters(weights):
            if parameter.requires_grad and _is_new(parameter, seen):
                yield f"{name}/{own_name}" if name else own_name, _of_tensor(parameter)
    elif hasattr(weights, "__array__") or not isinstance(weights, Iterable) or _are_numbers(weights):
        if _is_new(weights, seen):
            yield name, _of_tensor(weights) if hasattr(weights, "detach") else _of_array(weights)
    else:
        yield from _of_each(weights, name, seen)


def _of_each(weights: Iterable[Any], name: str, seen: set[object]) -> Iterator[tuple[str, Any]]:
    if isinstance(weights, Mapping):
        named = ((str(key), one) for key, one in weights.items())
    elif isinstance(weights, tuple) and weights and isinstance(weights[0], str):
        named, name = ((weights[0], one) for one in weights[1:]), name.rpartition("/")[0]
    else:
        named = ((str(place), one) for place, one in enumerate(weights))
    for own_name, one in named:
        # What an iterator makes may be gone when the next is made, which then may have its identity.
        known = seen if isinstance(weights, Mapping | list | tuple) else set()
        yield from _named(one, f"{name}/{own_name}" if name else own_name, known)


def arrays_of(weights: Any) -> Iterator[Any]:
    """Yield the arrays of `named_arrays`."""
    for _, array in named_arrays(weights):
        yield array


def parameters_in(weights: Any) -> tuple[int, int] | None:
    """Return how many parameters of a model are trainable, and how many are not; None for what is no model.

    Args:
        weights: as for `named_arrays`; a torch module and a Keras model are models.
    """
    if hasattr(weights, "trainable_weights"):
        # Its other variables are no parameters: the states of random generators, of metrics.
        return _size(weights.trainable_weights), _size(weights.non_trainable_weights)
    if callable(getattr(weights, "parameters", None)):
        parameters = list(weights.parameters())
        trainable = [one for one in parameters if one.requires_grad]
        return _size(trainable), _size(parameters) - _size(trainable)
    return None


def _size(variables: Iterable[Any]) -> int:
    return sum(math.prod(one.shape) for one in _once(variables))


def _is_new(array: Any, seen: set[object]) -> bool:
    """Return whether an array has not been seen yet; of torch, two tensors may be of the same memory."""
    if isinstance(array, int | float):
        return True
    place = array.data_ptr() if hasattr(array, "data_ptr") else 0
    key = (place, tuple(array.shape), tuple(array.stride())) if place else id(array)
    new = key not in seen
    seen.add(key)
    return new


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
    if is_counted_where_it_is(value) or not getattr(value, "is_fully_addressable", True):
        return _of_array(value)
    return variable.numpy()


def _of_array(array: Any) -> Any:
    if is_counted_where_it_is(array):
        return array
    if not getattr(array, "is_fully_addressable", True):  # of JAX, in several processes
        if not array.is_fully_replicated:
            raise MetricError("an array is spread over several processes: the weights are not counted", "weights")
        array = array.addressable_data(0)
    return np.asarray(array)


def _of_tensor(tensor: Any) -> Any:
    detached = tensor.detach()
    if is_counted_where_it_is(detached):
        return detached
    on_host = detached.cpu()
    try:
        return on_host.numpy()
    except TypeError:  # bfloat16 and float8, which NumPy has no type for; float32 holds each of their values
        return on_host.float().numpy()
