"""The handwritten digits for train.py and test.py: images with values from 0 to 1, and the digit that each shows."""

import sys

import keras
import numpy as np

Examples = tuple[np.ndarray, np.ndarray]


def load(name: str) -> tuple[Examples, Examples]:
    """Return the images to train with and those to test with."""
    return digits() if name == "digits" else mnist()


def mnist() -> tuple[Examples, Examples]:
    """Return MNIST: 70,000 images of 28x28 pixels, which Keras downloads once."""
    try:
        (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    except Exception as error:  # noqa: BLE001 - Keras raises Exception when a download fails
        sys.exit(f"MNIST could not be downloaded ({error}).\nUse the digits that come with scikit-learn: --data digits")
    return (scaled(x_train, 255), y_train), (scaled(x_test, 255), y_test)


def digits() -> tuple[Examples, Examples]:
    """Return scikit-learn's digits: 1,797 images of 8x8 pixels that come with the package."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - MNIST works without scikit-learn

    found = load_digits()
    x, y = scaled(found.images, 16), found.target
    return (x[:-360], y[:-360]), (x[-360:], y[-360:])


def scaled(images: np.ndarray, white: int) -> np.ndarray:
    """Return the images with values from 0 to 1, and with a dimension for their one channel."""
    return images[..., np.newaxis].astype("float32") / white
