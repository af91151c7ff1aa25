"""Keras on the backend that `KERAS_BACKEND` names; `make test` runs these tests once on each."""

from __future__ import annotations

import os
import warnings

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what backends warn of while they are imported is theirs
    import keras

import numpy as np
import pytest
from keras.src.utils import module_utils

from support.keras_fits import Data, compiled
from support.seeding import seed

if keras.backend.backend() == "torch":
    module_utils.tensorflow._available = False  # noqa: SLF001  where it is installed, Keras imports it to save a model


@pytest.fixture
def data() -> Data:
    """100 samples of 8 features, in 3 classes."""
    random = np.random.default_rng(1)
    return random.normal(size=(100, 8)).astype(np.float32), random.integers(0, 3, 100)


@pytest.fixture
def model() -> keras.Model:
    """A small classifier with BatchNorm; eager, since compiling takes longer than these trainings."""
    seed(1)
    return compiled(
        keras.Sequential(
            [
                keras.layers.Input((8,)),
                keras.layers.Dense(16, activation="relu"),
                keras.layers.BatchNormalization(),
                keras.layers.Dense(3, activation="softmax"),
            ]
        )
    )
