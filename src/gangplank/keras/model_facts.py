"""What is read from a Keras model during a fit: the state of its optimizer, and the samples it has seen."""

from __future__ import annotations

from typing import Any

import keras

from gangplank.keras.logs import number_in

# A float32 metric counts samples exactly up to here.
_MOST_SAMPLES = 2**24


class ModelFacts:
    """Reads from a model during a fit; the objects that are read from are looked up once.

    On JAX, a callback must access its `model` first, which updates the variables.

    Args:
        model: a compiled model; it need not be built.
    """

    def __init__(self, model: keras.Model) -> None:
        outer = getattr(model, "optimizer", None)
        optimizer = getattr(outer, "inner_optimizer", outer)  # inside the loss scaling of mixed precision
        several = getattr(optimizer, "optimizers", None)
        self._optimizers: dict[str, Any] = {"": optimizer}
        if several is not None:
            self._optimizers = {str(index): one for index, one in enumerate(several)}
        self._optimizer = optimizer
        self._batches_per_step = getattr(optimizer, "gradient_accumulation_steps", None) or 1
        self._trained_by_keras = str(type(model).train_step.__module__).startswith("keras.")
        # It is weighted by samples if Keras' own train step updates it.
        tracker = getattr(model, "_loss_tracker", None)
        counts = (
            isinstance(tracker, keras.metrics.Mean)
            and str(tracker.count.dtype) in ("float32", "float64")
            # TensorFlow's central storage adds up what each replica has counted so far, again with each batch.
            and type(tracker.count.value).__name__ != "AggregatingVariable"
        )
        self._mean_loss = tracker if counts and self._trained_by_keras else None

    def batches(self) -> int | None:
        """Return how many batches the optimizer took; None if none: other optimizers train the model, as in a GAN."""
        counter = getattr(self._optimizer, "_iterations", None)
        if counter is None:  # an older version; in newer ones, `iterations` is computed, and counts steps
            counter = getattr(self._optimizer, "iterations", None)
        return None if counter is None else int(number_in(counter)) or None

    def steps(self) -> int | None:
        """Return how many steps the optimizer has made; None if none."""
        batches = self.batches()
        return None if batches is None else batches // self._batches_per_step or None

    def position(self) -> tuple[int, int] | None:
        """Return the batches that the optimizer took, and those per step; None if other optimizers train the model."""
        done = self.batches()
        if self._optimizer is None or (done is None and not self._trained_by_keras):
            return None
        return done or 0, self._batches_per_step

    def learning_rates(self) -> dict[str, float]:
        """Return the learning rate as {"": rate}, or the rates of several optimizers by their index."""
        return {name: number_in(one.learning_rate) for name, one in self._optimizers.items()}

    def samples(self) -> tuple[float, float] | None:
        """Return how many samples the epoch has seen so far, and their mean loss; None if Keras does not count them."""
        if self._mean_loss is None:
            return None
        samples = number_in(self._mean_loss.count)
        return (samples, number_in(self._mean_loss.total) / samples) if 0 < samples < _MOST_SAMPLES else None
