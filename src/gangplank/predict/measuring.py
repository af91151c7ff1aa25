"""What is measured of one method, whatever kind of function it is."""

from __future__ import annotations

import operator
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from time import perf_counter
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from gangplank.core.log import Log, describe
from gangplank.predict import counting, waiting
from gangplank.predict.checking import Checks
from gangplank.predict.families import Families

Arguments = tuple[Any, ...]
Keywords = Mapping[str, Any]

_NO_SAMPLES_OF_STREAMS = "the outputs come one by one, and are not kept"


class Meter:
    """Counts and times the calls of one method.

    A call that raises counts as an error and as nothing else, so that times divided by counts are true. Whatever goes
    wrong here is logged once, and the call does not notice it.

    Args:
        families: the metrics.
        method: the label `method`.
        log: reports what goes wrong.
        call: whether it is the `__call__` of a PrometheusModel, which has counters of its own.
        count_samples: returns how many samples an output has; by default, `counting.count_samples`.
        checks: of inputs and outputs for drift.
        inputs: returns the inputs that are checked, of the arguments of a call.
    """

    def __init__(
        self,
        families: Families,
        method: str,
        log: Log,
        *,
        call: bool = False,
        count_samples: Callable[[Any], int] | None = None,
        checks: Checks | None = None,
        inputs: Callable[[Arguments, Keywords], Any] = lambda arguments, _: arguments[0],
    ) -> None:
        prefix = "call_" if call else ""
        self._families = families
        self._method = method
        self._log = log
        self._samples = families.metric(f"{prefix}total")
        self._seconds = families.metric(f"{prefix}time_seconds_total")
        self._latency = families.metric("latency_seconds", method=method)
        self._batch_size = families.metric("batch_size", method=method)
        self._untimed = families.metric("untimed_total")
        self._count_samples = count_samples
        self._checks = checks
        self._inputs = inputs

    def call(self, function: Callable[..., Any], arguments: Arguments, keywords: Keywords) -> Any:
        """Call a function, and return its output; a coroutine or generator is measured when it runs."""
        in_flight = self._begin()
        started = perf_counter()
        try:
            output = function(*arguments, **keywords)
        except BaseException as error:
            self._fail(in_flight, error)
            raise
        kind = type(output)
        if kind is GeneratorType:
            self._leave(in_flight)
            return self.stream(output)
        if kind is CoroutineType:
            self._leave(in_flight)
            return self.wait(lambda: output, arguments, keywords)
        if kind is AsyncGeneratorType:
            self._leave(in_flight)
            return self.async_stream(output)
        self._end(in_flight, started, output, arguments, keywords)
        return output

    async def wait(self, make: Callable[..., Any], arguments: Arguments, keywords: Keywords) -> Any:
        """Await the coroutine that is made, and return its output."""
        in_flight = self._begin()
        started = perf_counter()
        try:
            output = await make()
        except BaseException as error:
            self._fail(in_flight, error)
            raise
        self._end(in_flight, started, output, arguments, keywords)
        return output

    def stream(self, stream: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Pass on what a generator yields, what is sent to it, and what it returns: each item counts as a sample."""
        in_flight = self._begin()
        started = perf_counter()
        samples = 0
        try:
            item = next(stream)
            while True:
                samples = self._add(samples, item)
                try:
                    sent = yield item
                except GeneratorExit:
                    stream.close()
                    raise
                except BaseException as error:  # noqa: BLE001  it is the generator's to handle
                    item = stream.throw(error)
                else:
                    item = stream.send(sent)
        except (StopIteration, GeneratorExit) as end:
            self._end_stream(in_flight, started, samples)
            if isinstance(end, GeneratorExit):
                raise
            return end.value
        except BaseException as error:
            self._fail(in_flight, error)
            raise

    async def async_stream(self, stream: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
        """Pass on what an asynchronous generator yields, as `stream` does."""
        in_flight = self._begin()
        started = perf_counter()
        samples = 0
        try:
            item = await anext(stream)
            while True:
                samples = self._add(samples, item)
                try:
                    sent = yield item
                except GeneratorExit:
                    await stream.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001  as above
                    item = await stream.athrow(error)
                else:
                    item = await stream.asend(sent)
        except (StopAsyncIteration, GeneratorExit) as end:
            self._end_stream(in_flight, started, samples)
            if isinstance(end, GeneratorExit):
                raise
        except BaseException as error:
            self._fail(in_flight, error)
            raise

    def _begin(self) -> Any:
        """Return the gauge that counts the call as going on; None if it could not be counted."""
        try:
            in_flight = self._families.in_flight
            in_flight.inc()
        except Exception as error:  # noqa: BLE001  prometheus_client may keep its values in files
            self._report(error)
            return None
        return in_flight

    def _leave(self, in_flight: Any) -> None:
        try:
            if in_flight is not None:
                in_flight.dec()
        except Exception as error:  # noqa: BLE001  as above
            self._report(error)

    def _fail(self, in_flight: Any, error: BaseException) -> None:
        self._leave(in_flight)
        try:
            self._families.errors(self._method, error).inc()
        except Exception as problem:  # noqa: BLE001  as above
            self._report(problem)

    def _end(self, in_flight: Any, started: float, output: Any, arguments: Arguments, keywords: Keywords) -> None:
        """Record a call that has returned, now, or when its output is computed."""
        took = perf_counter() - started
        try:
            samples = self._count(output)
            if samples is None:
                return
            wait = waiting.still_computing(output)
            if wait is None:
                self._record(samples, took)
            elif waiting.queue.put(lambda: self._record_later(wait, samples, started, in_flight)):
                in_flight = None  # until then
            else:
                self._record(samples, took)
                self._untimed.inc()
            if self._checks is not None:
                self._checks.put(self._inputs(arguments, keywords), output)
        except waiting.NotComputed:
            pass
        except Exception as error:  # noqa: BLE001  the user's count_samples may raise anything, an odd output too
            self._report(error)
        finally:
            self._leave(in_flight)

    def _end_stream(self, in_flight: Any, started: float, samples: int) -> None:
        took = perf_counter() - started
        try:
            self._record(samples, took)
            if self._checks is not None:
                self._checks.drop(_NO_SAMPLES_OF_STREAMS)
        except Exception as error:  # noqa: BLE001  as above
            self._report(error)
        finally:
            self._leave(in_flight)

    def _record_later(self, wait: Callable[[], None], samples: int, started: float, in_flight: Any) -> None:
        try:
            wait()
        except Exception as error:  # noqa: BLE001  the computation has failed, with an error of its framework
            self._fail(in_flight, error)
            return
        self._record(samples, perf_counter() - started)
        self._leave(in_flight)

    def _record(self, samples: int, took: float) -> None:
        self._samples.inc(samples)
        self._seconds.inc(took)
        self._latency.observe(took)
        self._batch_size.observe(samples)

    def _count(self, output: Any) -> int | None:
        if self._count_samples is None:
            return counting.count_samples(output)
        samples = operator.index(self._count_samples(output))
        if samples < 0:
            raise ValueError(f"count_samples returned {samples}: give a count that is 0 or more")
        return samples

    def _add(self, samples: int, item: Any) -> int:
        """Return the samples of a stream with those of another item."""
        if self._count_samples is None:
            return samples + 1
        try:
            return samples + (self._count(item) or 0)
        except Exception as error:  # noqa: BLE001  as above
            self._report(error)
            return samples

    def _report(self, error: Exception) -> None:
        self._log.warn_once(
            f"{self._method} {type(error).__name__}",
            "A call of %s could not be measured: %s",
            self._method,
            describe(error),
        )
