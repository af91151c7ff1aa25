"""Keras' models as weights."""

from __future__ import annotations

import keras

from counting import names
from gangplank.core.arrays import parameters_in


def test_a_variable_has_its_path() -> None:
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(3, name="top")])
    assert [name.rpartition("top")[2] for name in names(model)] == ["/kernel", "/bias"]


def test_the_state_of_a_generator_is_no_parameter() -> None:
    layers = [keras.layers.Dense(3), keras.layers.Dropout(0.5), keras.layers.BatchNormalization()]
    model = keras.Sequential([keras.layers.Input((2,)), *layers])
    assert parameters_in(model) == (9 + 6, 6)
