"""Keras' models as weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import keras
import pytest

import gangplank
from gangplank.core.weights.arrays import parameters_in
from gangplank.testing import MemorySink
from support.counting import names
from support.logged import warnings


def test_a_variable_has_its_path() -> None:
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(3, name="top")])
    assert [name.rpartition("top")[2] for name in names(model)] == ["/kernel", "/bias"]


def test_the_state_of_a_generator_is_no_parameter() -> None:
    layers = [keras.layers.Dense(3), keras.layers.Dropout(0.5), keras.layers.BatchNormalization()]
    model = keras.Sequential([keras.layers.Input((2,)), *layers])
    assert parameters_in(model) == (9 + 6, 6)


class Unbuilt(keras.Variable):  # type: ignore[misc]  # Keras has no types
    """A variable that has no value yet."""

    @property
    def value(self) -> Any:
        raise ValueError("it is not built")


@pytest.mark.parametrize("per_tensor", [False, True])
def test_a_variable_without_a_value_costs_no_other(per_tensor: bool, caplog: pytest.LogCaptureFixture) -> None:
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(3, name="top")])
    holder = SimpleNamespace(
        trainable_variables=[Unbuilt(keras.ops.ones(2), name="odd"), *model.trainable_variables],
        trainable_weights=model.trainable_variables,
        non_trainable_weights=[],
    )
    memory = MemorySink()
    with gangplank.run("memory", "a", sink=memory, histogram_buckets=[0.0], per_tensor=per_tensor) as run:
        for epoch in range(2):
            run.record({"loss": 1}, epoch=epoch, weights=holder)
    counts = [count.total for count in (memory.pages[-1].newest.weights or {}).values()]
    assert counts == ([6, 3] if per_tensor else [9])
    assert memory.value("gangplank_run_dropped_metrics_total", reason="weights") == 1
    assert warnings(caplog) == ["The weights 'odd' are not counted: ValueError: it is not built"]
