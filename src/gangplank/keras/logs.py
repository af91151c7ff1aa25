"""What Keras logs -> numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras


def stopped_on_nan(model: keras.Model, logs: Mapping[str, Any] | None) -> bool:
    """Return whether the fit has stopped on a loss that is no finite number, as TerminateOnNaN does."""
    loss = loss_of(logs)
    return bool(model.stop_training) and loss is not None and not math.isfinite(loss)


def loss_of(logs: Mapping[str, Any] | None) -> float | None:
    """Return the loss that Keras logs, as the Python number it makes of it; None for what is none."""
    loss = (logs or {}).get("loss")
    return loss if isinstance(loss, int | float) else None


def is_loss(value: float, logs: Mapping[str, Any] | None) -> bool:
    """Return whether a number is the loss that Keras logs, but for how float32 is rounded."""
    loss = loss_of(logs)
    return loss is not None and math.isclose(value, loss, rel_tol=1e-6)


def values_of(logs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the logs with the values of Keras' variables in place of these."""
    return {name: value.value if isinstance(value, keras.Variable) else value for name, value in (logs or {}).items()}
