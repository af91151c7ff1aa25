"""Functions of JAX in production: timed until their arrays are computed, and no prediction while they are traced."""

from __future__ import annotations

import threading
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from gangplank import Drift, instrument
from gangplank.predict import waiting
from support.predicted import shown
from support.reading import eventually

SLOW = 0.2


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry that nothing is in."""
    return CollectorRegistry()


def slow(x: Any) -> Any:
    """Return the array, computed on JAX's thread a while later."""

    def wait(array: Any) -> Any:
        time.sleep(SLOW)
        return array

    return jax.pure_callback(wait, jax.ShapeDtypeStruct(x.shape, x.dtype), x)


def test_a_call_is_timed_until_its_array_is_computed(registry: CollectorRegistry) -> None:
    compiled = jax.jit(slow)
    x = jnp.ones((4, 2))
    compiled(x).block_until_ready()
    predict: Any = instrument(compiled, registry=registry)
    start = time.perf_counter()
    y = predict(x)
    returned = time.perf_counter() - start
    y.block_until_ready()
    computed = time.perf_counter() - start
    eventually(lambda: shown(registry, "total") == 4)
    seconds = shown(registry, "time_seconds_total")
    assert seconds is not None
    assert SLOW <= seconds < computed + 5
    assert shown(registry, "latency_seconds_count", method="slow") == 1
    assert shown(registry, "in_flight") == 0
    assert shown(registry, "untimed_total") == 0
    # Whether JAX returns before it has computed is its own affair; if it does, nobody has waited for it here.
    assert returned <= computed


def test_an_array_that_is_not_computed_yet_is_waited_for_on_another_thread(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[int] = []
    wait_for = waiting._wait_for  # noqa: SLF001

    def noted(array: Any) -> None:
        waited.append(threading.get_ident())
        wait_for(array)

    monkeypatch.setattr(waiting, "_wait_for", noted)
    big = jnp.ones((1_000, 1_000))
    compiled = jax.jit(lambda x: jnp.linalg.matrix_power(x, 16))
    compiled(big).block_until_ready()
    predict: Any = instrument(compiled, registry=registry, name="big")
    for _ in range(10):  # the machine may be so busy that an array is computed before anybody looks
        predict(big)
        eventually(lambda: shown(registry, "in_flight", model="big") == 0, timeout=60)
        if waited:
            break
    assert waited
    assert threading.get_ident() not in waited
    assert shown(registry, "untimed_total", model="big") == 0


def test_a_function_that_is_traced_predicts_nothing(registry: CollectorRegistry) -> None:
    inner: Any = instrument(lambda x: x + 1, registry=registry)
    assert jax.jit(lambda x: inner(x) * 2)(jnp.ones((4, 2))).shape == (4, 2)
    assert jax.grad(lambda x: inner(x).sum())(jnp.ones(3)).shape == (3,)
    assert jax.vmap(inner)(jnp.ones((5, 2))).shape == (5, 2)
    assert jax.eval_shape(inner, jnp.ones((4, 2))).shape == (4, 2)
    assert shown(registry, "total") == 0
    assert shown(registry, "in_flight") == 0
    assert inner(jnp.ones((4, 2))).shape == (4, 2)
    eventually(lambda: shown(registry, "total") == 4)


def test_an_array_that_the_next_call_takes_over_is_counted(registry: CollectorRegistry) -> None:
    step = instrument(jax.jit(lambda x: x + 1, donate_argnums=0), registry=registry)
    x = jnp.ones((4, 2))
    for _ in range(20):
        x = step(x)
    x.block_until_ready()
    eventually(lambda: shown(registry, "total") == 80)
    assert shown(registry, "in_flight") == 0


def test_what_a_compiled_function_has_is_still_there(registry: CollectorRegistry) -> None:
    compiled = instrument(jax.jit(lambda x: x + 1), registry=registry)
    assert compiled.lower(jnp.ones(3)).compile()(jnp.ones(3)).tolist() == [2, 2, 2]


def test_drift_is_checked_with_the_arrays(registry: CollectorRegistry) -> None:
    given: list[Any] = []

    def drift(x: Any, y: Any) -> Drift:
        given.append((np.asarray(x).sum(), np.asarray(y).sum()))
        return Drift(0)

    predict = instrument(jax.jit(lambda x: x * 2), registry=registry, get_drift_metrics_func=drift)
    predict(jnp.ones((4, 2)))
    eventually(lambda: shown(registry, "drift_checks_total", result="checked") == 1)
    assert given == [(8.0, 16.0)]


def test_inputs_that_were_given_away_cannot_be_checked(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    x = jnp.ones((4, 2))
    predict = instrument(
        jax.jit(lambda x: x * 2, donate_argnums=0), registry=registry, get_drift_metrics_func=lambda _x, _y: Drift()
    )
    assert predict(x).tolist() == [[2, 2]] * 4
    assert x.is_deleted()
    assert shown(registry, "drift_checks_total", result="failed") == 1
    assert "deleted" in caplog.text
