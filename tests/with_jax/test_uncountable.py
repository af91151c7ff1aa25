"""JAX's arrays that cannot be counted cost no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from gangplank import MetricError
from gangplank.core.weights.device import count_on_device
from support.counting import assert_costs_no_other


def deleted() -> Any:
    array = jnp.ones(2)
    array.delete()
    return array


def donated() -> Any:
    array = jnp.ones(2)
    jax.jit(lambda array: array + 1, donate_argnums=0)(array)
    return array


ODD: dict[str, Callable[[], Any]] = {
    "deleted": deleted,
    "donated": donated,
    "complex": lambda: jnp.ones(2, jnp.complex64),
    "a key": lambda: jax.random.key(1),
    "abstract": lambda: jax.ShapeDtypeStruct((2,), jnp.float32),
}


@pytest.mark.parametrize("per_tensor", [False, True])
@pytest.mark.parametrize("odd", ODD)
def test_the_others_are_counted_and_it_is_named_once(odd: str, per_tensor: bool) -> None:
    (line,) = assert_costs_no_other(ODD[odd](), per_tensor)
    assert line.startswith("The weights 'odd' are not counted: ")


def test_on_a_device_no_real_part_is_taken_for_the_whole() -> None:
    with pytest.raises(MetricError, match="not real numbers"):
        count_on_device(ODD["complex"](), [0.0])
