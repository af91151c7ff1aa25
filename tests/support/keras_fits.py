"""Small trainings with Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from gangplank import TrainTestExporter
from support.reading import value
from support.servers import Server

Data = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


def exporter(gateway: Server, **options: Any) -> TrainTestExporter:
    return TrainTestExporter(gateway.address, "digits", **options)


def compiled(model: keras.Model, optimizer: object = "adam") -> keras.Model:
    """Compile a classifier."""
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return model


def fit(model: keras.Model, data: Data, *callbacks: keras.callbacks.Callback, **options: Any) -> dict[str, list[float]]:
    history = model.fit(*data, callbacks=list(callbacks), verbose=0, **options)
    recorded: dict[str, list[float]] = history.history
    return recorded


def shown(gateway: Server, phase: str, names: Any) -> dict[str, float | None]:
    return {name: value(gateway, f"gangplank_{phase}_{name}") for name in names}


class Logs(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes into the logs, as other callbacks and custom train steps do."""

    def __init__(self, **logs: Any) -> None:
        super().__init__()
        self.logs = logs

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
        logs.update(self.logs)
