"""What a Keras model tells of itself: its optimizer, the samples it has seen."""

from __future__ import annotations

from typing import Any

import keras

from gangplank.keras.logs import is_variable, number_in

# A float32 metric counts samples exactly up to here.
_MOST_SAMPLES = 2**24


class ModelFacts:
    """What a model tells in a fit; which objects to ask does not change, so that is looked up once.

    On JAX, the variables that are read are up to date once a callback has looked at its `model`.

    Args:
        model: that has been compiled; it need not be built.
    """

    def __init__(self, model: keras.Model) -> None:
        outer = getattr(model, "optimizer", None)
        optimizer = getattr(outer, "inner_optimizer", outer)  # the loss scaling of mixed precision
        several = getattr(optimizer, "optimizers", None)
        self._optimizers: dict[str, Any] = {"": optimizer}
        if several is not None:
            self._optimizers = {str(index): one for index, one in enumerate(several)}
        self._optimizer = optimizer
        self._batches_per_step = getattr(optimizer, "gradient_accumulation_steps", None) or 1
        self._trained_by_keras = str(type(model).train_step.__module__).startswith("keras.")
        # Its weight is the samples, where Keras' own train step updates it.
        tracker = getattr(model, "_loss_tracker", None)
        counts = isinstance(tracker, keras.metrics.Mean) and str(tracker.count.dtype) in ("float32", "float64")
        self._mean_loss = tracker if counts and self._trained_by_keras else None

    def steps(self) -> int | None:
        """Return how often the optimizer has stepped; None where it never has: others train the model, as in a GAN."""
        iterations = getattr(self._optimizer, "iterations", None)
        if iterations is None:
            return None
        steps = int(number_in(iterations))
        # Where gradients are accumulated, Keras computes the steps; before it did, its variable counted the batches.
        return (steps // self._batches_per_step if is_variable(iterations) else steps) or None

    def position(self) -> tuple[int, int] | None:
        """Return the optimizer's steps so far, and how many batches make one; None where others train the model."""
        done = self.steps()
        if self._optimizer is None or (done is None and not self._trained_by_keras):
            return None
        return done or 0, self._batches_per_step

    def learning_rates(self) -> dict[str, float]:
        """Return the learning rate, or those of several optimizers by their index; of one that has stepped."""
        return {name: number_in(one.learning_rate) for name, one in self._optimizers.items()}

    def samples(self) -> tuple[float, float] | None:
        """Return how many samples the epoch has seen so far, and their mean loss; None where Keras does not count."""
        if self._mean_loss is None:
            return None
        samples = number_in(self._mean_loss.count)
        return (samples, number_in(self._mean_loss.total) / samples) if 0 < samples < _MOST_SAMPLES else None
