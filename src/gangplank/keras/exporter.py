"""A Keras callback that reports each `fit` and `evaluate` to a `gangplank.Run`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, Unpack

import keras

from gangplank import AdapterExporter, Destination, Exporter, Handler, KeywordOptions, watch_caller
from gangplank.keras.batches import Batches
from gangplank.keras.caller import calling_lists
from gangplank.keras.calls import Call, Evaluation, Fit

C = TypeVar("C", bound=Call)


class TrainTestExporter(AdapterExporter, keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Pushes the metrics of `fit` and `evaluate`, and the state of the run, to a Prometheus Pushgateway.

        exporter = gangplank.TrainTestExporter("127.0.0.1:9091", "digits")
        model.fit(x, y, epochs=10, validation_data=(x_val, y_val), callbacks=[exporter])
        model.evaluate(x_test, y_test, callbacks=[exporter])

    A fit, with the validation inside it, is phase `train`; an evaluation outside of a fit is phase `test`. One exporter
    serves any number of them, in any order. Put it last in `callbacks`, so that it sees what other callbacks add to the
    logs. As a context manager, it also ends a run if an exception ends the training:

        with gangplank.TrainTestExporter("127.0.0.1:9091", "digits") as exporter:
            model.fit(..., callbacks=[exporter])

    The exported values are those that Keras reports, as float64. With `GANGPLANK_DISABLED=1` in the environment it does
    nothing.

    Args:
        pgw_addr: the Pushgateway (`host:port`), or any other destination: `address` of `gangplank.Exporter`.
        job: the `job` label; any text that is not empty.
        options: those of `gangplank.Exporter`.

    Raises:
        ConfigurationError: an argument cannot work; the message suggests a fix.
    """

    def __init__(
        self,
        pgw_addr: str | Destination | Sequence[str | Destination],
        job: str,
        metrics: Iterable[str] | None = None,
        histogram_buckets: Iterable[float] | str | None = None,
        handler: Handler | None = None,
        ignore_exceptions: bool = True,  # noqa: FBT001, FBT002  the signature of gangplank 0.5
        **options: Unpack[KeywordOptions],
    ) -> None:
        super().__init__()
        self._exports_batches = options.get("update_freq", "epoch") != "epoch"
        try:
            self.export_with(
                Exporter(
                    pgw_addr,
                    job,
                    metrics=metrics,
                    histogram_buckets=histogram_buckets,
                    handler=handler,
                    ignore_exceptions=ignore_exceptions,
                    framework={
                        "framework": "keras",
                        "framework_version": keras.__version__,
                        "backend": keras.config.backend(),
                    },
                    **options,
                )
            )
        finally:
            del pgw_addr, handler, options  # a traceback may show them, with a password
        if self._exports_batches:
            # Only then, since Keras would convert each batch's logs. `async_safe` allows it to call from any thread.
            self.async_safe = True
            self._choose_batches()

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Begin a fit; its run starts with the first epoch, since a fit that resumes may have none left."""
        with self.guard("beginning the fit"):
            self._begin(Fit, "train")

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Start the run, if this is the first epoch of the fit."""
        with self.guard("beginning the epoch"):
            if (fit := self._fit_at(epoch)) is not None:
                fit.begin_epoch()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Record the epoch."""
        with self.guard("recording the epoch"):
            if (fit := self._fit_at(epoch)) is not None:
                fit.end_epoch(_model_of(self._caller()), epoch, logs)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """End the run."""
        with self.guard("ending the fit"):
            caller = self._caller()
            fit = self.calls.pop(caller, None)
            self._choose_batches()
            if isinstance(fit, Fit) and fit.run.open:
                fit.end(_model_of(caller), logs)

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Start the run of an evaluation; one inside a fit ends the training part of the epoch."""
        with self.guard("beginning the evaluation"):
            for caller in list(calling_lists()) or [self]:
                fit = self.calls.get(caller)
                if isinstance(fit, Fit):
                    _model_of(caller)
                    fit.begin_validation()
                    return
            self._begin(Evaluation, "test").start()

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Record the evaluation, and end its run."""
        with self.guard("ending the evaluation"):
            caller = self._caller()
            evaluation = self.calls.get(caller)
            if isinstance(evaluation, Evaluation):
                del self.calls[caller]
                if evaluation.run.open:
                    evaluation.end(_model_of(caller), logs)
                return
            for outer in calling_lists():
                fit = self.calls.get(outer)
                if isinstance(fit, Fit):
                    fit.end_validation(is_own=outer is caller)
                    return

    def __getstate__(self) -> dict[str, Any]:
        hooks = ("on_train_batch_begin", "on_train_batch_end")
        state = {name: value for name, value in super().__getstate__().items() if name not in hooks}
        return {**state, "_model": None, "params": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if state.get("_exports_batches"):
            self._choose_batches()

    def _caller(self) -> keras.callbacks.Callback:
        """Return the list of callbacks that calls; this exporter, if its hooks are called without one."""
        return next(calling_lists(), self)

    def _begin(self, kind: type[C], phase: str) -> C:
        """Begin a call, and with it end an earlier one of the same caller."""
        caller = self._caller()
        if (earlier := self.calls.pop(caller, None)) is not None:
            earlier.run.finish(sys.exception() or RuntimeError("another fit or evaluation has begun"))
        call = kind(self.new_run(phase), watch_caller("keras", "fit", "evaluate"))
        self.calls[caller] = call
        return call

    def _fit_at(self, epoch: int) -> Fit | None:
        """Return the fit that calls, whose run has started by now; None if it exports nothing."""
        caller = self._caller()
        fit = self.calls.get(caller)
        if not isinstance(fit, Fit):  # a callback that wraps this one has left out the beginning
            fit = self._begin(Fit, "train")
        if not fit.started:
            params, callbacks = getattr(caller, "params", None) or {}, getattr(caller, "callbacks", ())
            fit.start(_model_of(caller), params, epoch, callbacks)
            self._choose_batches()
        return fit if fit.run.open else None

    def _choose_batches(self) -> None:
        """Have Keras call the one fit that is open directly for its batches, since it does so often."""
        if self._exports_batches:
            each = [fit.batches for _, fit in self.each_call() if isinstance(fit, Fit) and fit.batches is not None]
            begin, end = (each[0].begin, each[0].end) if len(each) == 1 else (self._begin_batch, self._end_batch)
            self.on_train_batch_begin, self.on_train_batch_end = begin, end

    def _begin_batch(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if (batches := self._batches()) is not None:
            batches.begin(batch, logs)

    def _end_batch(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if (batches := self._batches()) is not None:
            batches.end(batch, logs)

    def _batches(self) -> Batches | None:
        """Return those of the fit that calls."""
        fit = self.calls.get(self._caller())
        return fit.batches if isinstance(fit, Fit) else None


def _model_of(caller: keras.callbacks.Callback) -> keras.Model | None:
    """Return the model of a fit or evaluation, None if it is unknown; on JAX, this updates its variables first."""
    return getattr(caller, "model", None)
