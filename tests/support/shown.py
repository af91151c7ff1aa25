"""What tools that print tracebacks with variables, and objects with all that they hold, may print."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gangplank import ConfigurationError

_TESTS = str(Path(__file__).parents[1])


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and all that stand behind it, each once."""
    found: list[BaseException] = []
    todo = [error]
    while todo:
        if (error := todo.pop()) is not None and not any(error is known for known in found):
            found.append(error)
            yield error
            todo += [error.__cause__, error.__context__]


def texts_of_error(error: BaseException) -> Iterator[str]:
    """Yield all that may be printed of an exception, with the variables of all functions but the tests'."""
    for link in chain(error):
        yield from ("".join(traceback.format_exception_only(link)), repr(link.args))
        yield from texts_of(vars(link))
        for frame, _ in traceback.walk_tb(link.__traceback__):
            if not frame.f_code.co_filename.startswith(_TESTS):
                for name, value in frame.f_locals.items():
                    yield from (f"{frame.f_code.co_qualname}: {name} = {text}" for text in texts_of(value))


def texts_of(value: object, depth: int = 4) -> Iterator[str]:
    """Yield how an object is printed, and each that it holds: fields, attributes and elements."""
    yield repr(value)
    with contextlib.suppress(Exception):  # its constructor has raised
        yield str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        with contextlib.suppress(TypeError):  # it holds a lock or a thread, which cannot be copied
            yield repr(dataclasses.asdict(value))
    held: list[object] = []
    if isinstance(value, Mapping):
        held = [*value, *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        held = [*value]
    elif type(value).__module__.startswith("gangplank"):
        slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
        held = [*getattr(value, "__dict__", {}).values(), *(getattr(value, name, None) for name in slots)]
    if depth:
        for one in held:
            yield from texts_of(one, depth - 1)


def each_mistake() -> pytest.MarkDecorator:
    """Run a test with each `mistake` for which a constructor that has a password is refused."""
    mistakes = [{"job": ""}, {"job": "digits", "timeout": 0}, {"job": "digits", "handler": "canary"}]
    return pytest.mark.parametrize("mistake", mistakes)


def assert_shows_no_password(exporter: Callable[..., object], mistake: Mapping[str, Any]) -> None:
    """Make an exporter with a mistake, and with a password: the error shows it nowhere."""
    with pytest.raises(ConfigurationError) as raised:
        exporter("http://me:canary@gateway:1", credentials=functools.partial(max, "canary"), **mistake)
    assert [text for text in texts_of_error(raised.value) if "canary" in text] == []
