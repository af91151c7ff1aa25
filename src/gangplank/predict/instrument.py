"""Instruments a function, or anything that can be called: counts and times its calls."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, TypeVar

from prometheus_client import REGISTRY, CollectorRegistry

from gangplank.core.errors import ConfigurationError, kind_of
from gangplank.core.labels import check_value
from gangplank.core.log import Log
from gangplank.predict.calls import measured
from gangplank.predict.checking import Checks, DriftFunction
from gangplank.predict.families import Families, families_of
from gangplank.predict.log import new_log
from gangplank.predict.measuring import Arguments, Meter
from gangplank.predict.proxy import Proxy, with_special_methods
from gangplank.predict.series import Series

T = TypeVar("T")

_FUNCTIONS = (FunctionType, MethodType, BuiltinFunctionType, functools.partial)


@dataclass(frozen=True)
class Options:
    """What a model is instrumented with, checked."""

    registry: CollectorRegistry
    name: str | None
    version: str | None
    function: DriftFunction | None
    count_samples: Callable[[Any], int] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.registry, CollectorRegistry):
            raise ConfigurationError(
                f"registry is {kind_of(self.registry)}: give a prometheus_client.CollectorRegistry, or leave it out"
            )
        for what in ("name", "version"):
            if getattr(self, what) is not None:
                check_value(what, getattr(self, what))
        for what, function in (("get_drift_metrics_func", self.function), ("count_samples", self.count_samples)):
            if function is not None and not callable(function):
                raise ConfigurationError(f"{what} is {kind_of(function)}: give a function")

    def open(self) -> Instruments:
        """Return what measures a model with these options."""
        given = {"model": self.name, "version": self.version}
        families = families_of(self.registry, {label: text for label, text in given.items() if text is not None})
        log = new_log()
        checks = None if self.function is None else Checks(self.function, families, log)
        families.loaded()
        return Instruments(families, log, checks, self.count_samples)


@dataclass(frozen=True)
class Instruments:
    """What measures one model."""

    families: Families
    log: Log
    checks: Checks | None
    count_samples: Callable[[Any], int] | None

    def meter(self, method: str, inputs: Callable[[Arguments], Any], *, call: bool = False) -> Meter:
        """Return what measures one of its methods; the calls of a PrometheusModel are not checked for drift."""
        return Meter(
            self.families,
            Series(self.families, method, self.log, call=call),
            count_samples=self.count_samples,
            checks=None if call else self.checks,
            inputs=inputs,
        )


def instrument(
    fn_or_module: T,
    *,
    name: str | None = None,
    version: str | None = None,
    registry: CollectorRegistry = REGISTRY,
    count_samples: Callable[[Any], int] | None = None,
    get_drift_metrics_func: DriftFunction | None = None,
) -> T:
    """Return a function or a module whose calls are counted and timed, with the families `gangplank_predict_...`.

    A function, of any kind (`async def` and generators included), gives a function of the same kind. Any other object
    that can be called, such as a torch module, gives a proxy: all but its calls is the object's, and a method that
    returns the object, such as `eval()`, returns the proxy. `isinstance` sees the proxy; copies of it measure too.

    Outputs on a CUDA device, and arrays of JAX, are timed until they are computed: a thread waits for them, never the
    caller. Whatever goes wrong with the measurements is logged once and does not affect a call.

    Args:
        fn_or_module: a function, a bound method, or any other object that can be called.
        name: the label `model` of all samples; without it, they have none.
        version: the label `version` of all samples.
        registry: where the metrics are shown.
        count_samples: returns how many samples an output has: an int that is 0 or more. By default, the first dimension
            of its first array; docs/predict.md has all cases. Of a generator, it is called with each item; by default,
            an item is a sample.
        get_drift_metrics_func: gets the inputs (the first argument, or the keyword arguments as a dict) and the
            output of a call, and returns a `gangplank.Drift`. It runs later, on a thread of its own, with copies.

    Raises:
        ConfigurationError: it cannot be called, an option is not valid, or the registry has other metrics with the
            names of ours.
    """
    target: Any = fn_or_module
    if not isinstance(target, classmethod) and (not callable(target) or inspect.isclass(target)):
        raise ConfigurationError(
            f"instrument() got {'a class' if inspect.isclass(target) else kind_of(target)}: give something that can be "
            "called and returns predictions: a function, a module, or a bound method such as model.predict"
        )
    result: T = _instrumented(target, Options(registry, name, version, get_drift_metrics_func, count_samples))
    return result


def _instrumented(target: Any, options: Options) -> Any:
    if isinstance(target, staticmethod | classmethod):  # in the body of a class, decorated before
        return type(target)(_instrumented(target.__func__, options))
    # Whatever else has a name, such as what JAX compiles, also has attributes of its own.
    if isinstance(target, _FUNCTIONS):
        return measured(target, options.open().meter(_name_of(target), _inputs_of(target)))
    return _proxy(target, options)


class InstrumentedObject(Proxy):
    """An object whose calls are measured; everything else is the object's."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the object, measured."""
        return self.__dict__["_gangplank"][1][1](*args, **kwargs)

    def _around(self, target: Any) -> Any:
        return _proxy(target, self.__dict__["_gangplank"][1][0])

    def __reduce__(self) -> tuple[Any, ...]:
        target, (options, _) = self.__dict__["_gangplank"]
        more = options.name, options.version, options.count_samples, options.function
        return _unpickled, (target, *more)


class _InstrumentedMethod(InstrumentedObject):
    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)


def _proxy(target: Any, options: Options) -> Any:
    method = getattr(target, "__name__", "__call__")
    meter = options.open().meter(method if isinstance(method, str) else "__call__", _inputs_of(target))
    # What a compiler or a cache makes of a method in the body of a class is bound as a function is.
    base = _InstrumentedMethod if hasattr(type(target), "__get__") else InstrumentedObject
    return with_special_methods(base, type(target))(target, (options, measured(target.__call__, meter)))


def _unpickled(target: Any, name: Any, version: Any, count_samples: Any, function: Any) -> Any:
    """Return a proxy again: a registry cannot be pickled, so it measures in the default one."""
    return instrument(target, name=name, version=version, count_samples=count_samples, get_drift_metrics_func=function)


def _inputs_of(function: Callable[..., Any]) -> Callable[[Arguments], Any]:
    """Return what returns the inputs among the arguments: of a method in the body of a class, not its object."""
    try:
        first = next(iter(inspect.signature(function).parameters), None)
    except Exception:  # noqa: BLE001  it is written in C, or an object that raises anything
        first = None
    return _second_argument if first in ("self", "cls") else _first_argument


def _first_argument(arguments: Arguments) -> Any:
    positional, keywords = arguments
    return positional[0] if positional else dict(keywords)


def _second_argument(arguments: Arguments) -> Any:
    positional, keywords = arguments
    return _first_argument((positional[1:], keywords))


def _name_of(function: Callable[..., Any]) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) else type(function).__name__
