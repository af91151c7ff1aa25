"""Functions of every kind that measure the calls of another one of that kind."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from time import perf_counter
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from numpy import ndarray

from gangplank.predict.families import MOST_NOTES
from gangplank.predict.measuring import Meter

Function = Callable[..., Any]


def measured(function: Function, meter: Meter) -> Function:
    """Return a function of the same kind and signature, whose calls are measured."""
    make = _plain
    if inspect.iscoroutinefunction(function):
        make = _coroutine
    elif inspect.isgeneratorfunction(function):
        make = _generator
    elif inspect.isasyncgenfunction(function):
        make = _async_generator
    result = make(function, meter)
    if result.__doc__ is None:
        result.__doc__ = inspect.getdoc(function)  # of the method that it overrides
    return result


def _plain(function: Function, meter: Meter) -> Function:
    families, begun, returned_array = meter.families, meter.begun, meter.returned_array
    array = ndarray if meter.only_counts else None

    # After a prediction, the CPU's caches are cold: each call of a function takes 5 us then. So `meter.begin`, and
    # `meter.end` for an array of NumPy, are written out here.
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        notes = families.notes
        if len(notes) >= MOST_NOTES:
            families.catch_up()
        notes.append(begun)  # last: what a handler of signals raises before it leaves no call in flight
        started = perf_counter()
        try:
            output = function(*args, **kwargs)
        except BaseException as error:
            meter.fail(notes, error)
            raise
        if type(output) is array:
            notes.append((returned_array, output.shape, perf_counter() - started))
            return output
        if type(output) in _RUN_LATER:
            meter.leave(notes)
            return _RUN_LATER[type(output)](lambda *_, **__: output, meter)(*args, **kwargs)
        meter.end(notes, started, output, (args, kwargs))
        return output

    return call


def _coroutine(function: Function, meter: Meter) -> Function:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        notes = meter.begin()
        started = perf_counter()
        try:
            output = await function(*args, **kwargs)
        except BaseException as error:
            meter.fail(notes, error)
            raise
        meter.end(notes, started, output, (args, kwargs))
        return output

    return call


def _generator(function: Function, meter: Meter) -> Function:
    """Each item counts as a sample. What is sent and thrown is passed on."""

    @functools.wraps(function)
    def stream(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        notes, samples = meter.begin(), 0
        started = perf_counter()
        try:
            inner = function(*args, **kwargs)
            item = next(inner)
            while True:
                samples = meter.add(samples, item)
                try:
                    sent = yield item
                except GeneratorExit:
                    inner.close()
                    raise
                except BaseException as error:  # noqa: BLE001  the generator may handle it
                    item = inner.throw(error)
                else:
                    item = inner.send(sent)
        except StopIteration as end:
            meter.end_stream(notes, started, samples)
            return end.value
        except GeneratorExit:  # whoever reads it has enough
            meter.end_stream(notes, started, samples)
            raise
        except BaseException as error:
            meter.fail(notes, error)
            raise

    return stream


def _async_generator(function: Function, meter: Meter) -> Function:
    @functools.wraps(function)
    async def stream(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        notes, samples = meter.begin(), 0
        started = perf_counter()
        try:
            inner = function(*args, **kwargs)
            item = await anext(inner)
            while True:
                samples = meter.add(samples, item)
                try:
                    sent = yield item
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001  as above
                    item = await inner.athrow(error)
                else:
                    item = await inner.asend(sent)
        except StopAsyncIteration:
            meter.end_stream(notes, started, samples)
        except GeneratorExit:
            meter.end_stream(notes, started, samples)
            raise
        except BaseException as error:
            meter.fail(notes, error)
            raise

    return stream


# Outputs of a function that has not really been called yet; each is measured while it runs.
_RUN_LATER: dict[type[Any], Callable[[Function, Meter], Function]] = {
    CoroutineType: _coroutine,
    GeneratorType: _generator,
    AsyncGeneratorType: _async_generator,
}
