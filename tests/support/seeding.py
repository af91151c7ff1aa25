"""The same training each time."""

from __future__ import annotations

import importlib
import random

import keras
import numpy as np


def seed(number: int) -> None:
    """Do what `keras.utils.set_random_seed` does, which imports TensorFlow on every backend."""
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002  Keras' own
    if keras.config.backend() == "tensorflow":
        importlib.import_module("tensorflow").random.set_seed(number)
    if keras.config.backend() == "torch":
        importlib.import_module("torch").manual_seed(number)
