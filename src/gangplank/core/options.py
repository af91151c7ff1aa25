"""The options of `Exporter` as the `**options` of adapters: their types, their signature and their docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypedDict

from gangplank.core.sinks.base import Handler, Sink
from gangplank.core.sinks.credentials import Credentials

# An entry under `Args:` with all its lines, once the docstring's own indentation is removed.
_ENTRY = r"^ {{4}}({name}): .*\n(?: {{8}}.*\n)*"


class KeywordOptions(TypedDict, total=False):
    """The options that all exporters, including the one for Keras, take by keyword only."""

    histogram_freq: int
    per_tensor: bool | int
    update_freq: int | str
    grouping_key: Mapping[str, object] | None
    run: str | None
    concurrent: bool
    per_rank: bool
    info: Mapping[str, object] | None
    push_interval: float
    timeout: float
    flush_timeout: float
    credentials: Credentials | None
    sink: Callable[[str], Sink] | None


class ExporterOptions(KeywordOptions, total=False):
    """The options of `Exporter`, which documents them; an adapter declares `**options: Unpack[ExporterOptions]`."""

    metrics: Iterable[str] | None
    histogram_buckets: Iterable[float] | str | None
    handler: Handler | None
    ignore_exceptions: bool


def show_options(adapter: type, exporter: type) -> None:
    """Replace `**options` in the signature and the docstring of an adapter's class by the options of the exporter.

    `help()`, editors and LightningCLI, which reads signatures, then show each option with its type, default and text.
    In the docstring, those that it does not describe itself replace the entry `options:` under `Args:`.

    Args:
        adapter: a class whose `__init__` takes `**options`; other classes do not change, nor does a subclass of an
            adapter unless its `**options` are annotated: they may be any arguments of that adapter.
        exporter: `Exporter`, whose keyword-only parameters are the options.
    """
    init: Any = adapter.__dict__.get("__init__")
    own = _signature(init) if callable(init) else inspect.Signature()
    taken = own.parameters.get("options")
    if taken is None or taken.kind is not taken.VAR_KEYWORD:
        return
    if taken.annotation is taken.empty and any(
        hasattr(base.__dict__.get("__init__"), "__signature__") for base in adapter.__mro__[1:]
    ):
        return
    options = [
        parameter
        for parameter in _signature(exporter.__init__).parameters.values()  # type: ignore[misc]
        if parameter.name in ExporterOptions.__annotations__ and parameter.name not in own.parameters
    ]
    kept = [parameter for parameter in own.parameters.values() if parameter.name != "options"]
    init.__signature__ = own.replace(parameters=[*kept, *options])
    if adapter.__doc__ is not None and exporter.__doc__ is not None:
        adapter.__doc__ = cleaned = _cleaned(adapter.__doc__)
        names = ExporterOptions.__annotations__.keys() - {entry[1] for entry in _entries(r"\w+", cleaned)}
        texts = "".join(entry[0] for entry in _entries(r"\w+", _cleaned(exporter.__doc__)) if entry[1] in names)
        for entry in _entries("options", cleaned):
            adapter.__doc__ = cleaned[: entry.start()] + texts + cleaned[entry.end() :]


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except Exception:  # noqa: BLE001  an annotation may name what only type checkers import
        return inspect.signature(function)


def _cleaned(docstring: str) -> str:
    """Return a docstring without its indentation, which Python 3.13 removes as well."""
    return inspect.cleandoc(docstring) + "\n"


def _entries(name: str, docstring: str) -> Iterator[re.Match[str]]:
    return re.finditer(_ENTRY.format(name=name), docstring, flags=re.MULTILINE)
