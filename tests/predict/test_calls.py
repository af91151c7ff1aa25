"""Functions of every kind: they stay what they are, and each call is measured."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from gangplank import instrument
from support.predicted import all_shown, shown


def rows(count: int) -> Any:
    """Return so many rows."""
    return np.zeros((count, 2))


async def rows_later(count: int) -> Any:
    await asyncio.sleep(0)
    return rows(count)


def items(count: int) -> Generator[int | str, str | None, str]:
    for number in range(count):
        said = yield number
        if said is not None:
            yield said
    return "the end"


async def items_later(count: int) -> AsyncGenerator[int, None]:
    for number in range(count):
        await asyncio.sleep(0)
        yield number


def once(registry: CollectorRegistry, method: str, samples: int) -> dict[str, float]:
    """Return what one call shows."""
    label = f"{{'method': '{method}'}}"
    return {
        "total": samples,
        "in_flight": 0,
        "untimed_total": 0,
        f"latency_seconds_count{label}": 1,
        f"batch_size_count{label}": 1,
        f"batch_size_sum{label}": samples,
    }


@pytest.mark.parametrize("function", [rows, rows_later, items, items_later])
def test_a_function_stays_what_it_is(registry: CollectorRegistry, function: Callable[..., Any]) -> None:
    measured = instrument(function, registry=registry)
    for kind in (
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
        inspect.isfunction,
    ):
        assert kind(measured) == kind(function)
    assert inspect.signature(measured) == inspect.signature(function)
    assert (measured.__name__, measured.__doc__) == (function.__name__, function.__doc__)


def test_a_call_is_counted_and_timed(registry: CollectorRegistry) -> None:
    assert instrument(rows, registry=registry)(count=3).shape == (3, 2)
    assert all_shown(registry) == once(registry, "rows", 3)
    seconds = shown(registry, "time_seconds_total")
    assert seconds is not None
    assert 0 < seconds < 5
    assert shown(registry, "latency_seconds_sum", method="rows") == seconds


def test_a_coroutine_is_measured_while_it_is_awaited(registry: CollectorRegistry) -> None:
    async def main() -> None:
        coroutine = instrument(rows_later, registry=registry)(3)
        assert shown(registry, "in_flight") == 0
        task = asyncio.create_task(coroutine)
        await asyncio.sleep(0)
        assert shown(registry, "in_flight") == 1
        assert (await task).shape == (3, 2)

    asyncio.run(main())
    assert all_shown(registry) == once(registry, "rows_later", 3)


def test_a_generator_is_measured_until_it_ends(registry: CollectorRegistry) -> None:
    stream = instrument(items, registry=registry)(3)
    assert shown(registry, "in_flight") == 0
    assert next(stream) == 0
    assert (shown(registry, "in_flight"), shown(registry, "total")) == (1, 0)
    assert list(stream) == [1, 2]
    assert all_shown(registry) == once(registry, "items", 3)


def test_what_is_sent_and_returned_passes_through(registry: CollectorRegistry) -> None:
    returned: list[str] = []

    def outer() -> Generator[int | str, str | None, None]:
        returned.append((yield from instrument(items, registry=registry)(3)))

    stream = outer()
    assert next(stream) == 0
    assert stream.send("echo") == "echo"
    assert list(stream) == [1, 2]
    assert returned == ["the end"]


@pytest.mark.parametrize("in_async", [False, True])
def test_what_is_thrown_into_a_generator_is_its_own_to_handle(registry: CollectorRegistry, in_async: bool) -> None:
    def handles() -> Generator[int, None, None]:
        try:
            yield 1
        except KeyError:
            yield 2

    async def handles_later() -> AsyncGenerator[int, None]:
        for item in handles():
            try:
                yield item
            except KeyError:
                yield 2
                return

    if in_async:

        async def main() -> list[int]:
            stream = instrument(handles_later, registry=registry)()
            return [await anext(stream), await stream.athrow(KeyError()), *[item async for item in stream]]

        assert asyncio.run(main()) == [1, 2]
    else:
        stream = instrument(handles, registry=registry)()
        assert [next(stream), stream.throw(KeyError()), *stream] == [1, 2]
    assert shown(registry, "total") == 2


def test_an_asynchronous_generator_is_measured_until_it_ends(registry: CollectorRegistry) -> None:
    async def main() -> list[int]:
        return [item async for item in instrument(items_later, registry=registry)(3)]

    assert asyncio.run(main()) == [0, 1, 2]
    assert all_shown(registry) == once(registry, "items_later", 3)


def test_a_stream_that_is_closed_early_has_ended(registry: CollectorRegistry) -> None:
    closed: list[str] = []

    def stream() -> Any:
        try:
            yield from range(9)
        finally:
            closed.append("sync")

    async def stream_later() -> Any:
        try:
            for number in range(9):
                yield number
        finally:
            await asyncio.sleep(0)
            closed.append("async")

    for _ in instrument(stream, registry=registry)():
        break

    async def main() -> None:
        measured = instrument(stream_later, registry=registry)()
        await anext(measured)
        await measured.aclose()

    asyncio.run(main())
    assert closed == ["sync", "async"]
    assert (shown(registry, "total"), shown(registry, "in_flight")) == (2, 0)


def test_a_function_that_returns_a_coroutine_or_a_stream_is_measured_as_one(registry: CollectorRegistry) -> None:
    def starts(kind: Callable[..., Any]) -> Any:
        return kind(3)

    measured = instrument(starts, registry=registry)

    async def main() -> None:
        assert (await measured(rows_later)).shape == (3, 2)
        assert [item async for item in measured(items_later)] == [0, 1, 2]

    asyncio.run(main())
    assert list(measured(items)) == [0, 1, 2]
    assert shown(registry, "total") == 9
    assert shown(registry, "latency_seconds_count", method="starts") == 3
    assert shown(registry, "in_flight") == 0


def fails(_: Any) -> Any:
    raise KeyError


async def fails_later(_: Any) -> Any:
    raise KeyError


def ends_badly(_: Any) -> Any:
    yield 1
    raise KeyError


async def ends_badly_later(_: Any) -> Any:
    yield 1
    raise KeyError


async def consume(made: Any) -> None:
    if inspect.isasyncgen(made):
        async for _ in made:
            pass
    elif inspect.isgenerator(made):
        list(made)
    elif inspect.isawaitable(made):
        await made


@pytest.mark.parametrize("function", [fails, fails_later, ends_badly, ends_badly_later])
def test_a_call_that_fails_is_an_error_and_nothing_else(
    registry: CollectorRegistry, function: Callable[..., Any]
) -> None:
    measured = instrument(function, registry=registry)
    before = all_shown(registry)

    async def main() -> None:
        await consume(measured(1))

    with pytest.raises(KeyError):
        asyncio.run(main())
    error = f"errors_total{{'exception': 'KeyError', 'method': '{function.__name__}'}}"
    assert all_shown(registry) == {**before, error: 1}
    assert shown(registry, "time_seconds_total") == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_is_an_error_as_well(registry: CollectorRegistry, error: type[BaseException]) -> None:
    def raises() -> None:
        raise error

    with pytest.raises(error):
        instrument(raises, registry=registry)()
    assert shown(registry, "errors_total", method="raises", exception=error.__name__) == 1
    assert shown(registry, "in_flight") == 0


def test_a_call_that_is_cancelled(registry: CollectorRegistry) -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(instrument(forever, registry=registry)())
        await asyncio.sleep(0)
        assert shown(registry, "in_flight") == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert shown(registry, "errors_total", method="forever", exception="CancelledError") == 1
    assert shown(registry, "in_flight") == 0


def test_wrong_arguments_are_the_functions_own_error(registry: CollectorRegistry) -> None:
    with pytest.raises(TypeError, match="rows"):
        instrument(rows, registry=registry)()  # type: ignore[call-arg]
    assert shown(registry, "errors_total", method="rows", exception="TypeError") == 1


def test_an_inherited_docstring_is_kept(registry: CollectorRegistry) -> None:
    class Base:
        def predict(self) -> None:
            """Predict."""

    class Derived(Base):
        def predict(self) -> None:
            pass

    assert instrument(Derived().predict, registry=registry).__doc__ == "Predict."


def test_partial_functions_and_bound_methods(registry: CollectorRegistry) -> None:
    class Predictor:
        def predict(self, count: int) -> Any:
            return rows(count)

    assert instrument(functools.partial(rows, 3), registry=registry)().shape == (3, 2)
    assert instrument(Predictor().predict, registry=registry)(2).shape == (2, 2)
    later = instrument(functools.partial(rows_later, 3), registry=registry)
    assert inspect.iscoroutinefunction(later)
    asyncio.run(later())
    for method, samples in (("rows", 3), ("predict", 2), ("rows_later", 3)):
        assert shown(registry, "batch_size_sum", method=method) == samples
