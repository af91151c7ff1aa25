"""Drift is checked later, on another thread: a check hurts no prediction."""

from __future__ import annotations

import threading
import time
from collections import UserDict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

import gangplank
from gangplank import Drift, PrometheusModel
from support.logged import warnings
from support.predicted import Model, held_up, shown
from support.reading import eventually
from support.threads import alive, without_earlier_threads  # noqa: F401  a fixture

X = np.ones((4, 2))


def checks(registry: CollectorRegistry) -> list[float | None]:
    """Return how many checks were made, failed, and were dropped."""
    return [shown(registry, "drift_checks_total", result=result) for result in ("checked", "failed", "dropped")]


def remembering(given: list[Any], what: Callable[..., Any] = lambda *data: data) -> Callable[[Any, Any], Drift]:
    """Return a function for drift that remembers what it is given, or something of it."""

    def remember(x: Any, y: Any) -> Drift:
        given.append(what(x, y))
        return Drift()

    return remember


def drifting(registry: CollectorRegistry, function: Any) -> PrometheusModel:
    return PrometheusModel(Model(), registry, None, function)


def test_what_it_finds_is_shown(registry: CollectorRegistry) -> None:
    found = iter([Drift(), Drift(2, 0.25, 7.0), Drift(drift_detected=True), Drift(p_value=0.5), Drift(0)])
    model = drifting(registry, lambda _x, _y: next(found))
    assert checks(registry) == [0, 0, 0]
    assert shown(registry, "drift_detected_total") == 0
    for number, expected in enumerate([(0, None, None), (2, 0.25, 7), (3, 0.25, 7), (3, 0.5, 7), (3, 0.5, 7)], 1):
        model.predict(X)
        model.close()
        names = ("drift_detected_total", "drift_p_value", "drift_test_statistic")
        assert tuple(shown(registry, name) for name in names) == expected
        assert checks(registry) == [number, 0, 0]


def test_without_a_function_there_are_no_families_of_drift(registry: CollectorRegistry) -> None:
    PrometheusModel(Model(), registry).predict(X)
    assert checks(registry) == [None] * 3
    assert shown(registry, "drift_detected_total") is None


def test_it_gets_inputs_and_outputs_as_they_were(registry: CollectorRegistry) -> None:
    class Pair(NamedTuple):
        left: Any
        right: Any

    class Batch(dict[str, Any]):
        """As that of a tokenizer."""

    given: list[tuple[Any, Any]] = []
    with held_up() as (wait, _, released):
        same: Any = gangplank.instrument(
            lambda x: x,
            registry=registry,
            get_drift_metrics_func=remembering(given, lambda x, y: (wait(), x, y)[1:]),
        )
        array = np.zeros(3)
        data = [array, {"a": (array, "text", 1)}, Pair(array, [array]), Batch(b=array), None]
        same(data)
        array += 1
        data.clear()
        released.set()
        eventually(lambda: checks(registry)[0])
    assert len(given[0]) == 2
    for first, mapping, pair, batch, nothing in given[0]:
        for copied in (first, mapping["a"][0], pair.left, pair.right[0], batch["b"]):
            assert copied.tolist() == [0, 0, 0]
        assert (mapping["a"][1:], type(pair), type(batch), nothing) == (("text", 1), Pair, Batch, None)


def test_by_position_by_name_and_for_both_ways_to_predict(registry: CollectorRegistry) -> None:
    given: list[Any] = []
    model = drifting(registry, remembering(given, lambda x, y: (x.sum(), y.shape)))
    model.predict(X)
    model.predict(x=X * 2, verbose=0)
    model.predict_on_batch(X * 3)
    model(X * 4)  # is not checked: a training calls it, too
    model.close()
    assert given == [(8, (4, 3)), (16, (4, 3)), (24, (4, 3))]


def test_of_a_function_it_gets_the_first_argument_or_the_keywords(registry: CollectorRegistry) -> None:
    given: list[Any] = []
    add: Any = gangplank.instrument(lambda a, b: a + b, registry=registry, get_drift_metrics_func=remembering(given))
    add(1, 2)
    add(a=1, b=2)
    eventually(lambda: checks(registry)[0] == 2)
    assert given == [(1, 3), ({"a": 1, "b": 2}, 3)]


def fail(_x: Any, _y: Any) -> Drift:
    raise RuntimeError("no reference")


def exits(_x: Any, _y: Any) -> Drift:
    raise SystemExit


@pytest.mark.parametrize("function", [fail, exits, lambda _x, _y: None, lambda _x, _y: Drift(-1, 0.5), Drift])
def test_a_function_that_fails_fails_no_prediction_and_is_reported_once(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture, function: Any
) -> None:
    model = drifting(registry, function)
    for _ in range(3):
        assert model.predict(X).shape == (4, 3)
    model.close()
    assert checks(registry) == [0, 3, 0]
    assert shown(registry, "drift_p_value") is None
    assert shown(registry, "total") == 12
    (warning,) = warnings(caplog)
    assert warning.startswith("A check for drift failed: ")


def test_a_slow_function_delays_no_prediction_and_what_it_cannot_keep_up_with_is_dropped(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    with held_up() as (wait, entered, released):
        model = drifting(registry, lambda _x, _y: (wait(), Drift(1))[1])
        model.predict(X)
        entered.wait(20)
        for _ in range(20):
            model.predict(X)
        assert shown(registry, "total") == 84  # all have returned while the first check goes on
        assert checks(registry) == [0, 0, 4]
        [warning] = warnings(caplog)
        assert "16 checks wait" in warning
        released.set()
        eventually(lambda: checks(registry) == [17, 0, 4])
    assert shown(registry, "drift_detected_total") == 17


def test_nothing_is_copied_for_a_full_queue(registry: CollectorRegistry) -> None:
    class Counted(np.ndarray[Any, Any]):
        copies = 0

        def copy(self, *_: Any, **__: Any) -> Any:
            Counted.copies += 1
            return self

    with held_up() as (wait, entered, _):
        model = drifting(registry, lambda _x, _y: (wait(), Drift())[1])
        model.predict(X.view(Counted))
        entered.wait(20)
        for _ in range(20):
            model.predict(X.view(Counted))
        assert Counted.copies == 17


def test_an_iterator_cannot_be_read_again(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    def in_a_list(x: Any) -> list[Any]:
        return list(x)

    consume = gangplank.instrument(in_a_list, registry=registry, get_drift_metrics_func=lambda _x, _y: Drift())
    assert consume(iter("abc")) == consume(iter("abc")) == list("abc")
    assert checks(registry) == [0, 0, 2]
    (warning,) = warnings(caplog)
    assert "an iterator" in warning


def test_outputs_that_come_one_by_one_are_not_checked(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    @gangplank.instrument
    def unchecked(x: Any) -> Any:
        yield from x

    def stream(x: Any) -> Any:
        yield from x

    checked = gangplank.instrument(stream, registry=registry, get_drift_metrics_func=lambda _x, _y: Drift())
    assert list(checked("ab")) == list(checked("ab")) == list(unchecked("ab")) == ["a", "b"]
    assert checks(registry) == [0, 0, 2]
    assert len(warnings(caplog)) == 1


def test_an_array_that_cannot_be_copied_is_a_failed_check(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    class Huge(UserDict[str, Any]):
        shape = (3,)

        def copy(self) -> Any:
            raise MemoryError

    measured: Any = gangplank.instrument(lambda _: X, registry=registry, get_drift_metrics_func=lambda _x, _y: Drift())
    assert measured(Huge()) is X
    assert checks(registry) == [0, 1, 0]
    assert shown(registry, "total") == 4
    assert warnings(caplog) == ["A check for drift failed: MemoryError"]


def test_a_function_that_predicts_is_not_checked_itself(registry: CollectorRegistry) -> None:
    def again(x: Any, _y: Any) -> Drift:
        model.predict(x)
        return Drift(1)

    model = drifting(registry, again)
    model.predict(X)
    model.close()
    assert checks(registry) == [1, 0, 0]
    assert shown(registry, "total") == 8


def test_functions_that_predict_with_each_others_models_end(registry: CollectorRegistry) -> None:
    others: dict[Any, Any] = {}
    models = [drifting(registry, lambda x, _y, of=of: (others[of].predict(x), Drift())[1]) for of in range(2)]
    others.update(enumerate(reversed(models)))
    models[0].predict(X)
    for model in models * 2:
        model.close()
    assert checks(registry) == [1, 0, 0]
    models[1].predict(X)
    models[1].close()
    assert checks(registry) == [2, 0, 0]


def test_the_thread_of_a_model_ends_with_the_model(registry: CollectorRegistry) -> None:
    for _ in range(3):  # one for each request
        model = drifting(registry, lambda _x, _y: Drift())
        model.predict(X)
        model.close()
    del model
    eventually(lambda: alive("gangplank-drift"), lambda threads: not threads)
    assert checks(registry) == [3, 0, 0]


def test_dicts_that_cannot_be_updated_are_copied(registry: CollectorRegistry) -> None:
    class Outputs(dict[str, Any]):
        def update(self, *_: Any, **__: Any) -> None:
            raise TypeError("as the outputs of Transformers do")

    given: list[Any] = []
    outputs = Outputs(logits=X)
    model: Any = gangplank.instrument(lambda _: outputs, registry=registry, get_drift_metrics_func=remembering(given))
    model(X)
    eventually(lambda: checks(registry) == [1, 0, 0])
    ((_, copied),) = given
    assert type(copied) is Outputs
    assert copied["logits"] is not X
    assert (copied["logits"] == X).all()


def test_a_model_that_is_closed_waits_for_its_checks_but_not_for_long(registry: CollectorRegistry) -> None:
    with held_up() as (wait, entered, _):
        model = drifting(registry, lambda _x, _y: (wait(), Drift())[1])
        model.predict(X)
        entered.wait(20)
        start = time.monotonic()
        model.close()
        assert 0.9 < time.monotonic() - start < 10
    assert threading.active_count() < 100
