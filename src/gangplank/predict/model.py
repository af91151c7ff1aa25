"""A Keras model, or another one with `predict`, that says how it is doing."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Self

from prometheus_client import REGISTRY, CollectorRegistry

from gangplank.core.errors import ConfigurationError, kind_of
from gangplank.predict import waiting
from gangplank.predict.calls import measured
from gangplank.predict.checking import DriftFunction
from gangplank.predict.endpoint import Endpoint, check_address, open_endpoint
from gangplank.predict.instrument import Instruments, Options
from gangplank.predict.measuring import Arguments
from gangplank.predict.proxy import Proxy

# Seconds that `close` waits for checks for drift, and for outputs that are still being computed.
_PATIENCE = 1.0


class _State(NamedTuple):
    options: Options
    instruments: Instruments
    call: Callable[..., Any]
    measured: dict[str, Callable[..., Any]]
    endpoints: list[Endpoint]


class _Measured:
    """A method of the model, measured; the model's own attribute, if it is no function.

    An object also has it as an attribute of its own, which Python finds in a fraction of the time, unless a derived
    class has overridden it.
    """

    def __set_name__(self, owner: type[PrometheusModel], name: str) -> None:
        self._name = name
        self.__doc__ = f"The model's `{name}`, measured."

    def __get__(self, instance: PrometheusModel | None, owner: type[PrometheusModel]) -> Any:
        if instance is None:
            return self
        state = instance._state  # noqa: SLF001  of the class below
        return state.measured.get(self._name) or getattr(instance.model, self._name)


class PrometheusModel(Proxy):
    """A model whose predictions are counted and timed, for Prometheus to scrape.

    `predict`, `predict_on_batch` and calls of the model are measured, and take and return what the model's do.
    Everything else is the model's own: its attributes, `save`, `summary`, `repr`. `isinstance(this, keras.Model)` is
    False; `this.model` is the model. docs/predict.md lists the metrics.

    A copy, also of a pickle, is a PrometheusModel around a copy of the model, without a port. A pickle holds no
    registry: a model that is loaded from it measures in `prometheus_client.REGISTRY`.

    Args:
        model: a Keras model on any backend, or another object with `predict`, or one that can be called.
        registry: where the metrics are shown. Any number of models can share one.
        port: of an HTTP endpoint at which Prometheus can scrape the registry; 0 takes any free port. None starts none:
            for registries that are served already. Models with the same port and registry share the endpoint.
        get_drift_metrics_func: gets the inputs and outputs of `predict` and `predict_on_batch`, and returns a
            `gangplank.Drift`. It runs later, on a thread of its own, with copies.
        name: the label `model` of all samples; without it, they have none.
        version: the label `version` of all samples.
        host: the address of this machine that the endpoint listens on; by default, all of them.

    Raises:
        ConfigurationError: an argument is not valid, the port is in use, or the registry has other metrics of these
            names.
    """

    def __init__(
        self,
        model: Any,
        registry: CollectorRegistry = REGISTRY,
        port: int | None = None,
        get_drift_metrics_func: DriftFunction | None = None,
        *,
        name: str | None = None,
        version: str | None = None,
        host: str = "0.0.0.0",  # noqa: S104  Prometheus runs elsewhere
    ) -> None:
        if not callable(model) and not callable(getattr(model, "predict", None)):
            raise ConfigurationError(f"model is {kind_of(model)}: give a model, which has predict or can be called")
        if port is not None:
            check_address(host, port)
        options = Options(registry, name, version, get_drift_metrics_func)
        instruments = options.open()
        call = measured(model.__call__, instruments.meter("__call__", _x, call=True)) if callable(model) else model
        state = _State(options, instruments, call, {}, [])
        super().__init__(model, state)
        for method in ("predict", "predict_on_batch"):
            if callable(function := getattr(model, method, None)):
                state.measured[method] = measured(function, instruments.meter(method, _x))
                if isinstance(inspect.getattr_static(self, method), _Measured):
                    self.__dict__[method] = state.measured[method]
        if port is not None:
            state.endpoints.append(open_endpoint(registry, host, port, self))

    @property
    def model(self) -> Any:
        """The model itself."""
        return self.__dict__["_gangplank"][0]

    @property
    def _state(self) -> _State:
        state: _State = self.__dict__["_gangplank"][1]
        return state

    @property
    def registry(self) -> CollectorRegistry:
        """Where the metrics are shown."""
        return self._state.options.registry

    @property
    def port(self) -> int | None:
        """The port that the endpoint listens on; None if there is none."""
        return next((endpoint.port for endpoint in self._state.endpoints), None)

    @property
    def get_drift_metrics_func(self) -> DriftFunction | None:
        """The function for drift."""
        return self._state.options.function

    predict = _Measured()
    predict_on_batch = _Measured()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model, measured."""
        return self._state.call(*args, **kwargs)

    def close(self) -> None:
        """Wait up to a second for checks for drift, and stop the endpoint. Predictions are measured all the same."""
        end = time.monotonic() + _PATIENCE
        waiting.queue.flush(end)
        if self._state.instruments.checks is not None:
            self._state.instruments.checks.flush(end)
        while self._state.endpoints:
            self._state.endpoints.pop().close(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _around(self, target: Any) -> PrometheusModel:
        return _with_options(type(self), target, self._state.options)

    def __reduce__(self) -> tuple[Any, ...]:
        options = self._state.options
        return _unpickled, (type(self), self.model, options.function, options.name, options.version)


def _with_options(kind: type[PrometheusModel], model: Any, options: Options) -> PrometheusModel:
    """Return a PrometheusModel, or one of a derived class, whose constructor may take anything."""
    result = kind.__new__(kind)
    PrometheusModel.__init__(
        result, model, options.registry, None, options.function, name=options.name, version=options.version
    )
    return result


def _unpickled(kind: type[PrometheusModel], model: Any, function: Any, name: Any, version: Any) -> PrometheusModel:
    return _with_options(kind, model, Options(REGISTRY, name, version, function))


def _x(arguments: Arguments) -> Any:
    positional, keywords = arguments
    return positional[0] if positional else keywords.get("x")
