"""Something that behaves as an object in all but its calls."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any

# Python looks these up in the class only, so that a proxy has to have them, if its object does.
_SPECIAL = (
    "__len__",
    "__iter__",
    "__next__",
    "__reversed__",
    "__getitem__",
    "__setitem__",
    "__delitem__",
    "__contains__",
    "__enter__",
    "__exit__",
    "__aenter__",
    "__aexit__",
)
_STATE = "_gangplank"


class Proxy:
    """Stands in for an object: attributes are read from it, set in it, and deleted in it.

    A method that returns the object itself returns the proxy.
    """

    def __init__(self, target: Any, state: Any) -> None:
        self.__dict__[_STATE] = (target, state)

    def __getattr__(self, name: str) -> Any:
        if _STATE not in self.__dict__:  # while a copy is being made
            raise AttributeError(name)
        target = self.__dict__[_STATE][0]
        if name == "__signature__":
            return inspect.signature(target)
        value = getattr(target, name)
        if inspect.ismethod(value) and value.__self__ is target:
            return _returning(self, target, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(getattr(type(self), name, None), property):
            super().__setattr__(name, value)  # raises, unless a derived class has a setter
        elif name in self.__dict__:
            raise AttributeError(f"{name} cannot be set")
        else:
            setattr(self.__dict__[_STATE][0], name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.__dict__[_STATE][0], name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self.__dict__[_STATE][0])} - {_STATE})

    def __repr__(self) -> str:
        return repr(self.__dict__[_STATE][0])

    def __str__(self) -> str:
        return str(self.__dict__[_STATE][0])

    def _around(self, target: Any) -> Any:
        """Return another proxy like this one, around another object."""
        raise NotImplementedError

    def __copy__(self) -> Any:
        return self._around(copy.copy(self.__dict__[_STATE][0]))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self._around(copy.deepcopy(self.__dict__[_STATE][0], memo))


def _returning(proxy: Proxy, target: Any, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*arguments: Any, **keywords: Any) -> Any:
        result = method(*arguments, **keywords)
        return proxy if result is target else result

    return call


def with_special_methods(base: type[Any], kind: type[Any]) -> type[Any]:
    """Return a proxy class that also has the special methods of a class of objects."""
    methods = {name: _delegated(name) for name in _SPECIAL if hasattr(kind, name) and not hasattr(base, name)}
    return type(base.__name__, (base,), {**methods, "__module__": base.__module__, "__doc__": base.__doc__})


def _delegated(name: str) -> Callable[..., Any]:
    def call(self: Proxy, *arguments: Any) -> Any:
        target = self.__dict__[_STATE][0]
        result = getattr(target, name)(*arguments)
        return self if result is target else result

    call.__name__ = name
    return call
