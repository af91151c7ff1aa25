"""Keras' adapter keeps the contract that every adapter keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from gangplank.testing import AdapterContract
from support.seeding import seed


def model_and_data() -> tuple[Any, Any, Any]:
    """Return a linear model that is always the same, inputs and targets."""
    seed(1)
    x = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    return model, x, x.sum(axis=1)


class TestKeras(AdapterContract):
    adapter = "keras"

    def train(self, exporter: Any, epochs: int, each_epoch: Callable[[int], None]) -> Mapping[str, float]:
        model, x, y = model_and_data()
        caller = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: each_epoch(epoch))
        with exporter:
            history = model.fit(
                x, y, epochs=epochs, validation_data=(x, y), callbacks=[exporter, caller], verbose=0
            ).history
        return {name: values[-1] for name, values in history.items()}

    def evaluate(self, exporter: Any) -> Mapping[str, float]:
        model, x, y = model_and_data()
        found: Mapping[str, float] = model.evaluate(x, y, callbacks=[exporter], verbose=0, return_dict=True)
        return found
