"""A training for the pictures of the documentation: a small convnet on handwritten digits, as good as its optimizer."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_digits

import gangplank

OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "digits-adam": lambda: keras.optimizers.Adam(3e-5),
    "digits-sgd": lambda: keras.optimizers.SGD(0.003),
    "digits-rmsprop": lambda: keras.optimizers.RMSprop(6e-5),
    "digits-too-fast": lambda: keras.optimizers.SGD(1e30),
    "digits-broken": lambda: keras.optimizers.Adam(1e-4),
}


class Breaks(keras.callbacks.Callback):  # type: ignore[misc]
    """Fails after some epochs, as a training does whose disk is full."""

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002  as Keras calls it
        """Fail."""
        if epoch == 6:  # noqa: PLR2004
            raise OSError("No space left on device")


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description="Train a small convnet on handwritten digits.")
    parser.add_argument("address", help="of a Pushgateway")
    parser.add_argument("job", choices=OPTIMIZERS)
    parser.add_argument("epochs", type=int)
    options = parser.parse_args()
    random.seed(7)
    digits = load_digits()
    order = np.random.default_rng(7).permutation(len(digits.target))
    images, labels = digits.images[order][..., None] / 16.0, digits.target[order]
    model = keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(OPTIMIZERS[options.job](), "sparse_categorical_crossentropy", metrics=["accuracy"])
    buckets = gangplank.HISTOGRAM_WEIGHT_BUCKETS_0_3
    with gangplank.TrainTestExporter(options.address, options.job, histogram_buckets=buckets) as exporter:
        breaks = [Breaks()] if options.job == "digits-broken" else []
        model.fit(
            images[:1200],
            labels[:1200],
            epochs=options.epochs,
            validation_data=(images[1200:], labels[1200:]),
            callbacks=[*breaks, exporter],
            verbose=0,
        )


if __name__ == "__main__":
    main()
