"""What is recorded of a call; whatever goes wrong with it, the call does not notice."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from gangplank import PrometheusModel, instrument
from gangplank.predict.families import MOST_NOTES, families_of
from support.logged import warnings
from support.predicted import Model, all_shown, shown

X = np.ones((4, 2))


def test_threads_lose_no_count(registry: CollectorRegistry) -> None:
    model = PrometheusModel(Model(), registry)
    threads, calls = 8, 500
    begin = threading.Barrier(threads)

    def work() -> None:
        begin.wait()
        for _ in range(calls):
            model.predict(X)
            model(X)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert shown(registry, "total") == shown(registry, "call_total") == threads * calls * 4
    assert shown(registry, "latency_seconds_count", method="predict") == threads * calls
    assert shown(registry, "batch_size_bucket", method="predict", le="4.0") == threads * calls
    assert shown(registry, "batch_size_bucket", method="predict", le="2.0") == 0
    assert shown(registry, "in_flight") == 0


def test_calls_in_flight_are_counted(registry: CollectorRegistry) -> None:
    seen: list[float | None] = []

    def look(depth: int) -> None:
        seen.append(shown(registry, "in_flight"))
        if depth:
            measured(depth - 1)

    measured = instrument(look, registry=registry)
    measured(2)
    assert seen == [1, 2, 3]
    assert shown(registry, "in_flight") == 0


def test_times_are_those_of_the_calls(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    now = itertools.accumulate(itertools.count())  # 0, 1, 3, 6, 10, 15: each call takes two seconds longer
    for module in ("calls", "measuring"):
        monkeypatch.setattr(f"gangplank.predict.{module}.perf_counter", lambda: float(next(now)))
    model = PrometheusModel(Model(), registry)
    model.predict(X)  # 1 s
    model.predict_on_batch(X)  # 3 s
    model(X)  # 5 s
    assert shown(registry, "time_seconds_total") == 4
    assert shown(registry, "call_time_seconds_total") == 5
    for method, seconds in (("predict", 1), ("predict_on_batch", 3), ("__call__", 5)):
        assert shown(registry, "latency_seconds_sum", method=method) == seconds
    instrument(lambda: "text", registry=registry)()
    assert shown(registry, "latency_seconds_sum", method="<lambda>") == 7


def test_what_nobody_reads_is_counted_all_the_same(registry: CollectorRegistry) -> None:
    model = PrometheusModel(Model(), registry)
    notes = families_of(registry, {}).notes
    for _ in range(2 * MOST_NOTES):
        model.predict(X)
    assert MOST_NOTES - 2 <= len(notes) <= MOST_NOTES + 2
    assert shown(registry, "total") == 2 * MOST_NOTES * 4
    assert (len(notes), shown(registry, "in_flight")) == (0, 0)


def test_a_call_that_is_interrupted_before_it_begins_is_not_in_flight(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stream() -> Any:
        yield 1

    measured: Any = instrument(lambda: X, registry=registry)
    streaming: Any = instrument(stream, registry=registry)
    for _ in range(MOST_NOTES // 2):
        measured()

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(families_of(registry, {}), "catch_up", interrupt)
    for call in (measured, lambda: next(streaming())):
        with pytest.raises(KeyboardInterrupt):
            call()
    assert (shown(registry, "total"), shown(registry, "in_flight")) == (MOST_NOTES // 2 * 4, 0)


def test_what_is_read_while_it_is_counted_is_complete(registry: CollectorRegistry) -> None:
    model = PrometheusModel(Model(), registry)
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            shown(registry, "total")

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for number in range(1, 301):
            model.predict(X)
            assert shown(registry, "total") == number * 4
    finally:
        done.set()
        for reader in readers:
            reader.join()


def test_one_may_count_oneself(registry: CollectorRegistry) -> None:
    measured: Any = instrument(lambda text: text.split(), registry=registry, count_samples=len)
    measured("one two three")
    assert shown(registry, "total") == 3


def test_one_may_count_what_an_array_of_numpy_has(registry: CollectorRegistry) -> None:
    measured: Any = instrument(lambda: X, registry=registry, count_samples=lambda array: array.size)
    measured()
    assert shown(registry, "total") == 8


def test_an_array_without_a_dimension_is_a_sample(registry: CollectorRegistry) -> None:
    measured: Any = instrument(lambda: np.array(5.0), registry=registry)
    measured()
    assert shown(registry, "total") == 1


def test_items_of_a_stream_may_be_counted_too(registry: CollectorRegistry) -> None:
    def batches() -> Any:
        yield from (["a", "b"], ["c"])

    async def batches_later() -> Any:
        for batch in batches():
            yield batch

    list(instrument(batches, registry=registry, count_samples=len)())

    async def main() -> None:
        async for _ in instrument(batches_later, registry=registry, count_samples=len)():
            pass

    asyncio.run(main())
    assert shown(registry, "total") == 6


def test_an_item_whose_count_fails_is_left_out(registry: CollectorRegistry) -> None:
    def stream() -> Any:
        yield from (2, -1, 3)

    assert list(instrument(stream, registry=registry, count_samples=lambda item: item)()) == [2, -1, 3]
    assert shown(registry, "total") == 5


@pytest.mark.parametrize("count", [lambda _: -1, lambda _: 1.5, lambda _: None, lambda: 1, lambda text: text[99]])
def test_a_count_that_fails_fails_no_call_and_is_reported_once(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture, count: Any
) -> None:
    measured: Any = instrument(lambda: "output", registry=registry, count_samples=count)
    before = all_shown(registry)
    assert [measured() for _ in range(3)] == ["output"] * 3
    assert all_shown(registry) == before
    (warning,) = warnings(caplog)
    assert "could not be measured" in warning

    def stream() -> Any:
        yield from "ab"

    assert list(instrument(stream, registry=registry, count_samples=count)()) == ["a", "b"]
    assert (shown(registry, "total"), shown(registry, "in_flight")) == (0, 0)


def test_an_output_that_raises_when_it_is_looked_at(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd:
        @property
        def shape(self) -> Any:
            raise RuntimeError("of a nested tensor")

    odd = Odd()
    assert instrument(lambda: odd, registry=registry)() is odd
    assert warnings(caplog) == ["A call of <lambda> could not be measured: RuntimeError: of a nested tensor"]
    assert shown(registry, "in_flight") == 0


def test_symbolic_outputs_are_no_predictions(registry: CollectorRegistry) -> None:
    class Symbolic:
        shape = (None, 3)

    model = PrometheusModel(lambda _: Symbolic(), registry)
    model(X)
    assert (shown(registry, "call_total"), shown(registry, "latency_seconds_count", method="__call__")) == (0, 0)
    assert shown(registry, "in_flight") == 0


def test_values_that_cannot_be_written_fail_no_call(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where prometheus_client's files are on a disk that is full.
    def refuse(*_: Any) -> None:
        raise OSError("No space left on device")

    measured: Any = instrument(X.take, registry=registry)
    for name in ("Counter.inc", "Gauge.inc", "Gauge.dec", "Histogram.observe"):
        monkeypatch.setattr(f"prometheus_client.{name}", refuse)
    assert measured(1) == 1
    with pytest.raises(IndexError):
        measured(99)
    assert shown(registry, "total") == 0
    assert len(warnings(caplog)) == 1
    assert "No space left" in caplog.text
