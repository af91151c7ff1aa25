"""The tensors in models and in trees of arrays, one at a time; no framework is imported."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from gangplank.core.errors import MetricError
from gangplank.core.weights.device import is_counted_on_device

# A tensor's name, and a function that returns it as a NumPy array, or as an array on an accelerator, which is counted
# there. The function raises if there is no such array, as of a tensor without data.
Tensor = tuple[str, Callable[[], Any]]


def named_tensors(weights: Any) -> Iterator[Tensor]:
    """Yield the tensors in weights; one that is found twice is yielded once.

    Args:
        weights: a NumPy array; a torch tensor; a torch module (its parameters that require a gradient); a Keras model
            (its trainable variables); a JAX array, or a tree of them in mappings and sequences; pairs of name and
            array; or an iterable of any of these, which is read item by item. An array without a name is named by its
            index.
    """
    yield from _named(weights, "", set())


def _named(weights: Any, name: str, seen: set[object]) -> Iterator[Tensor]:
    if hasattr(weights, "trainable_variables"):
        for variable in weights.trainable_variables:
            if _is_new(variable, seen):
                yield getattr(variable, "path", None) or variable.name, partial(_of_variable, variable)
    elif callable(getattr(weights, "parameters", None)):
        for own_name, parameter in _parameters(weights):
            if parameter.requires_grad and _is_new(parameter, seen):
                yield f"{name}/{own_name}" if name else own_name, partial(_of_tensor, parameter)
    elif hasattr(weights, "__array__") or not isinstance(weights, Iterable) or _is_array(weights):
        if _is_new(weights, seen):
            yield name, partial(_of_tensor if hasattr(weights, "detach") else _of_array, weights)
    else:
        yield from _of_each(weights, name, seen)


def _of_each(weights: Iterable[Any], name: str, seen: set[object]) -> Iterator[Tensor]:
    if isinstance(weights, Mapping):
        named = ((str(key), one) for key, one in weights.items())
    elif isinstance(weights, tuple) and weights and isinstance(weights[0], str):
        named, name = ((weights[0], one) for one in weights[1:]), name.rpartition("/")[0]
    else:
        named = ((str(place), one) for place, one in enumerate(weights))
    for own_name, one in named:
        # An item of an iterator may be freed, and a later item may then have the same id.
        known = seen if isinstance(weights, Mapping | list | tuple) else set()
        yield from _named(one, f"{name}/{own_name}" if name else own_name, known)


def parameters_in(weights: Any) -> tuple[int, int] | None:
    """Return how many parameters of a model are trainable, and how many are not.

    None if it is not a model, or some of its parameters have no shape yet: those of lazy layers that have seen no data.

    Args:
        weights: as for `named_tensors`; a torch module and a Keras model are models.
    """
    if hasattr(weights, "trainable_weights"):
        # Other variables are not parameters: the states of random generators and of metrics.
        trainable, others = weights.trainable_weights, weights.non_trainable_weights
    elif callable(getattr(weights, "parameters", None)):
        parameters = list(weights.parameters())
        trainable = [one for one in parameters if one.requires_grad]
        others = [one for one in parameters if not one.requires_grad]
    else:
        return None
    try:
        return _size(trainable), _size(others)
    except (RuntimeError, TypeError, ValueError):
        return None


def _size(variables: Iterable[Any]) -> int:
    return sum(math.prod(one.shape) for one in _once(variables))


def _is_new(array: Any, seen: set[object]) -> bool:
    """Return whether an array has not been seen yet; two torch tensors may share the same memory."""
    if isinstance(array, int | float):
        return True
    key: object = id(array)
    with contextlib.suppress(AttributeError, RuntimeError, ValueError):  # a lazy or sparse tensor has no place
        place = array.data_ptr()
        key = (place, tuple(array.shape), tuple(array.stride())) if place else key
    new = key not in seen
    seen.add(key)
    return new


def _once(weights: Iterable[Any]) -> Iterable[Any]:
    return {id(one): one for one in weights}.values()


def _is_array(weights: Iterable[Any]) -> bool:
    """Return whether an iterable is one array: numbers, or text, which is not a tree of texts."""
    if isinstance(weights, str | bytes):
        return True
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
    if is_counted_on_device(value) or not getattr(value, "is_fully_addressable", True):
        return _of_array(value)
    return variable.numpy()


def _of_array(array: Any) -> Any:
    if is_counted_on_device(array):
        return array
    if not getattr(array, "is_fully_addressable", True):  # of JAX, on several processes
        if not array.is_fully_replicated:
            raise MetricError("it is spread over several processes", "weights")
        array = array.addressable_data(0)
    return np.asarray(array)


def _of_tensor(tensor: Any) -> Any:
    detached = tensor.detach()
    if is_counted_on_device(detached):
        return detached
    on_host = detached.cpu()
    try:
        return on_host.numpy()
    except TypeError:  # bfloat16 or float8, which NumPy lacks; float32 holds all of their values
        return on_host.float().numpy()
