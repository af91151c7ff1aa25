"""What is counted of the calls of one method."""

from __future__ import annotations

from gangplank.core.log import Log, describe
from gangplank.predict.families import Families


class Series:
    """The series of one method. It counts what the calls have noted; what goes wrong then is logged once.

    Args:
        families: what they are in.
        method: the label `method`.
        log: reports what goes wrong.
        call: whether it is the `__call__` of a PrometheusModel, which has counters of its own.
    """

    def __init__(self, families: Families, method: str, log: Log, *, call: bool) -> None:
        prefix = "call_" if call else ""
        self._families = families
        self._method = method
        self._log = log
        self._samples = families.metric(f"{prefix}total")
        self._seconds = families.metric(f"{prefix}time_seconds_total")
        self._latency = families.metric("latency_seconds", method=method)
        self._batch_size = families.metric("batch_size", method=method)
        self._untimed = families.metric("untimed_total")

    def begun(self) -> None:
        """Count a call as going on."""
        try:
            self._families.in_flight.inc()
        except Exception as error:  # noqa: BLE001  prometheus_client may keep its values in files
            self.report(error)

    def left(self) -> None:
        """Count a call as not going on any more."""
        try:
            self._families.in_flight.dec()
        except Exception as error:  # noqa: BLE001  as above
            self.report(error)

    def failed(self, kind: type[BaseException]) -> None:
        """Count a call that has raised."""
        self.left()
        try:
            self._families.errors(self._method, kind).inc()
        except Exception as error:  # noqa: BLE001  as above
            self.report(error)

    def returned(self, samples: int, seconds: float) -> None:
        """Count a call that has returned."""
        self.left()
        try:
            self._samples.inc(samples)
            self._seconds.inc(seconds)
            self._latency.observe(seconds)
            self._batch_size.observe(samples)
        except Exception as error:  # noqa: BLE001  as above
            self.report(error)

    def returned_array(self, shape: tuple[int, ...], seconds: float) -> None:
        """Count a call that has returned an array of NumPy."""
        self.returned(shape[0] if shape else 1, seconds)

    def untimed(self, samples: int, seconds: float) -> None:
        """Count a call that has returned while its output was still being computed."""
        self.returned(samples, seconds)
        try:
            self._untimed.inc()
        except Exception as error:  # noqa: BLE001  as above
            self.report(error)

    def report(self, error: Exception) -> None:
        """Report that a call could not be measured."""
        self._log.warn_once(
            f"{self._method} {type(error).__name__}",
            "A call of %s could not be measured: %s",
            self._method,
            describe(error),
        )
