"""What a Keras model tells of itself: its optimizer, the samples it has seen."""

from __future__ import annotations

from typing import Any

import keras

# A float32 metric counts samples exactly up to here.
_MOST_SAMPLES = 2**24


def learning_rates_of(model: keras.Model, *, stepped: bool = False) -> dict[str, Any]:
    """Return the learning rate, or those of several optimizers by their index.

    Args:
        model: the model.
        stepped: that its optimizer has stepped is known already.
    """
    optimizer = _inner(model) if stepped else _optimizer(model)
    if optimizer is None:
        return {}
    several = getattr(optimizer, "optimizers", None)
    if several is None:
        return {"": optimizer.learning_rate}
    return {str(index): one.learning_rate for index, one in enumerate(several)}


def steps_of(model: keras.Model) -> int | None:
    """Return how often the optimizer has stepped; None where the model is trained in another way."""
    iterations = getattr(_inner(model), "iterations", None)
    return None if iterations is None else int(iterations) or None


def steps_per_batch(model: keras.Model) -> tuple[int, int] | None:
    """Return the steps of the optimizer so far, and how many batches make one; None as for `steps_of`."""
    optimizer = getattr(model, "optimizer", None)
    done = steps_of(model)
    if optimizer is None or (done is None and not _is_of_keras(model)):
        return None
    return done or 0, getattr(optimizer, "gradient_accumulation_steps", None) or 1


def _is_of_keras(model: keras.Model) -> bool:
    return str(type(model).train_step.__module__).startswith("keras.")


def _optimizer(model: keras.Model) -> Any:
    """Return the optimizer that trains the model; None where a train step of the user's own has others."""
    optimizer = _inner(model)
    iterations = getattr(optimizer, "iterations", None)
    return None if iterations is not None and int(iterations) == 0 else optimizer


def _inner(model: keras.Model) -> Any:
    optimizer = getattr(model, "optimizer", None)
    return getattr(optimizer, "inner_optimizer", optimizer)  # the loss scaling of mixed precision


def samples_of(model: keras.Model) -> tuple[float, float] | None:
    """Return how many samples the epoch has seen so far, and their mean loss.

    Keras' own running mean of the loss knows: its weight is the samples, where Keras' own train step updates it.
    """
    tracker = getattr(model, "_loss_tracker", None)
    if not isinstance(tracker, keras.metrics.Mean) or not _is_of_keras(model):
        return None
    samples = float(tracker.count)
    if str(tracker.count.dtype) not in ("float32", "float64") or samples >= _MOST_SAMPLES:
        return None
    return samples, float(tracker.result())
