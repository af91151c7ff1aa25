"""The handwritten digits that train.py and test.py use: images with values from 0 to 1, and which digit each shows."""

import sys

import keras
import numpy as np

Examples = tuple[np.ndarray, np.ndarray]


def load(name: str) -> tuple[Examples, Examples]:
    """Return what to train with and what to test with."""
    return digits() if name == "digits" else mnist()


def mnist() -> tuple[Examples, Examples]:
    """MNIST: 70,000 images of 28x28 pixels, which Keras downloads once."""
    try:
        (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    except Exception as error:  # noqa: BLE001 - Keras raises nothing narrower when a download fails
        sys.exit(f"MNIST could not be downloaded ({error}).\nUse the digits that come with scikit-learn: --data digits")
    return (scaled(x_train, 255), y_train), (scaled(x_test, 255), y_test)


def digits() -> tuple[Examples, Examples]:
    """scikit-learn's digits: 1,797 images of 8x8 pixels that come with the package."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - MNIST works without scikit-learn

    found = load_digits()
    x, y = scaled(found.images, 16), found.target
    return (x[:-360], y[:-360]), (x[-360:], y[-360:])


def scaled(images: np.ndarray, white: int) -> np.ndarray:
    """Return the images with values from 0 to 1 and one channel, as convolutions take them."""
    return images[..., np.newaxis].astype("float32") / white
