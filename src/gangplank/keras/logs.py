"""Numbers from Keras' logs and variables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras


def stopped_on_nan(model: keras.Model | None, logs: Mapping[str, Any] | None) -> bool:
    """Return whether the fit was stopped because of a loss that is not finite, as TerminateOnNaN does."""
    loss = loss_of(logs)
    return bool(getattr(model, "stop_training", False)) and loss is not None and not math.isfinite(loss)


def loss_of(logs: Mapping[str, Any] | None) -> float | None:
    """Return the loss in the logs, None if it is not a Python number."""
    loss = (logs or {}).get("loss")
    return loss if isinstance(loss, int | float) else None


def is_loss(value: float, logs: Mapping[str, Any] | None) -> bool:
    """Return whether a number is the loss in the logs, up to the rounding of float32."""
    loss = loss_of(logs)
    return loss is not None and math.isclose(value, loss, rel_tol=1e-6)


def number_in(variable: Any) -> float:
    """Return the number in a Keras variable, or in a tensor computed from variables.

    `float` does not take the variables of Keras before 3.5, nor TensorFlow's distributed ones. It is tried first since
    it is much faster: four reads take 12, 5 and 78 us on JAX, torch and TensorFlow, and 23, 38 and 240 us with
    `convert_to_numpy`.
    """
    try:
        return float(variable)
    except TypeError:
        return float(keras.ops.convert_to_numpy(variable))


def is_variable(value: Any) -> bool:
    """Return whether a value is a variable; in older versions of Keras, not every variable is a `keras.Variable`."""
    return hasattr(value, "assign")


def values_of(logs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the logs with NumPy arrays in place of variables."""
    return {
        name: keras.ops.convert_to_numpy(value) if is_variable(value) else value for name, value in (logs or {}).items()
    }


def with_rate(
    metrics: dict[str, Any], rates: Mapping[str, Any] | None
) -> tuple[dict[str, Any], Mapping[str, Any] | None]:
    """Return metrics and learning rates. The `learning_rate` that Keras' schedulers log is the rate of the epoch."""
    if "learning_rate" not in metrics or len(rates or ()) > 1:
        return metrics, rates
    others = dict(metrics)
    return others, {"": others.pop("learning_rate")}
