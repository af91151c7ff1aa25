"""What is measured of one method."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any

from gangplank.core.log import Log, describe
from gangplank.predict import counting, waiting
from gangplank.predict.checking import Checks
from gangplank.predict.families import Families

# The positional and the keyword arguments of a call.
Arguments = tuple[tuple[Any, ...], Mapping[str, Any]]


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
        inputs: returns the inputs to be checked, of the arguments of a call.
    """

    def __init__(
        self,
        families: Families,
        method: str,
        log: Log,
        *,
        call: bool,
        count_samples: Callable[[Any], int] | None,
        checks: Checks | None,
        inputs: Callable[[Arguments], Any],
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

    def begin(self) -> Any:
        """Return the gauge that counts the call as going on; None if it could not be counted."""
        try:
            in_flight = self._families.in_flight
            in_flight.inc()
        except Exception as error:  # noqa: BLE001  prometheus_client may keep its values in files
            self._report(error)
            return None
        return in_flight

    def leave(self, in_flight: Any) -> None:
        """Note that a call does not go on any more."""
        try:
            if in_flight is not None:
                in_flight.dec()
        except Exception as error:  # noqa: BLE001  as above
            self._report(error)

    def fail(self, in_flight: Any, error: BaseException) -> None:
        """Record a call that has raised."""
        self.leave(in_flight)
        try:
            self._families.errors(self._method, error).inc()
        except Exception as problem:  # noqa: BLE001  as above
            self._report(problem)

    def end(self, in_flight: Any, started: float, output: Any, arguments: Arguments) -> None:
        """Record a call that has returned: at once, or when its output is computed."""
        took = perf_counter() - started
        try:
            samples = self._count(output)
            if samples is None:
                return
            wait = waiting.still_computing(output)
            if wait is None:
                self._record(samples, took)
            elif waiting.queue.put(partial(self._end_later, in_flight, started, wait, samples)):
                in_flight = None  # it goes on
            else:
                self._record(samples, took)
                self._untimed.inc()
            if self._checks is not None:
                self._checks.put(self._inputs(arguments), output)
        except waiting.NotComputed:
            pass
        except Exception as error:  # noqa: BLE001  the user's count_samples may raise anything, an odd output too
            self._report(error)
        finally:
            self.leave(in_flight)

    def end_stream(self, in_flight: Any, started: float, samples: int) -> None:
        """Record a stream that has ended."""
        took = perf_counter() - started
        try:
            self._record(samples, took)
            if self._checks is not None:
                self._checks.drop("the outputs come one by one, and are not kept")
        except Exception as error:  # noqa: BLE001  as above
            self._report(error)
        finally:
            self.leave(in_flight)

    def _end_later(self, in_flight: Any, started: float, wait: Callable[[], None], samples: int) -> None:
        try:
            wait()
        except Exception as error:  # noqa: BLE001  computing it has failed, with an error of the framework
            self.fail(in_flight, error)
            return
        try:
            self._record(samples, perf_counter() - started)
        except Exception as error:  # noqa: BLE001  as above
            self._report(error)
        finally:
            self.leave(in_flight)

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

    def add(self, samples: int, item: Any) -> int:
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
