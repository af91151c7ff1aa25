"""scikit-learn's handwritten digits, in three parts: to train with, for the reference, and to predict."""

from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


class Digits(NamedTuple):
    """Some of the 1,797 images.

    Attributes:
        images: a row for each, of 64 pixels from 0 to 1.
        digits: what each image shows.
    """

    images: np.ndarray
    digits: np.ndarray

    def without(self, digit: int | None) -> "Digits":
        """Return the images that show another digit."""
        kept = self.digits != digit
        return Digits(self.images[kept], self.digits[kept])


def split() -> tuple[Digits, Digits, Digits]:
    """Return 500 images to train with, 640 for the reference and 657 to predict: the same each time.

    Each digit has the same share in each part. So what is left to predict has not drifted.
    """
    every = load_digits()
    images, digits = (every.data / 16).astype("float32"), every.target
    x_train, x_rest, y_train, y_rest = train_test_split(images, digits, train_size=500, stratify=digits, random_state=1)
    x_known, x_new, y_known, y_new = train_test_split(x_rest, y_rest, train_size=640, stratify=y_rest, random_state=1)
    return Digits(x_train, y_train), Digits(x_known, y_known), Digits(x_new, y_new)
