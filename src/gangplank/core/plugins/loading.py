"""Loading plugins: gangplank's own and the installed ones, each under a guard."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pluggy

from gangplank.core.errors import ConfigurationError
from gangplank.core.log import Log, describe
from gangplank.core.plugins import hookspecs

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

DISABLE, ALLOW = "GANGPLANK_DISABLE_PLUGINS", "GANGPLANK_PLUGINS"
# The module of the built-in plugin, imported when plugins are loaded, as that of an entry point is.
_BUILT_IN = "gangplank._builtin"

log = Log(raises=False)


@dataclass(frozen=True)
class Plugin:
    """A plugin, and whether it could be loaded.

    Attributes:
        name: the name of its entry point.
        source: the name and the version of the distribution that installs it.
        module: the module that the entry point names.
        state: whether it is used.
        problem: why it is not used, or what is wrong with a plugin that is used.
        hooks: by the name of each hook that it implements, the callable that calls it.
    """

    name: str
    source: str
    module: str
    state: Literal["loaded", "switched off", "broken"]
    problem: str = ""
    hooks: Mapping[str, Callable[..., Any]] = field(default_factory=dict, repr=False)


class _Manager(pluggy.PluginManager):
    """Looks for hooks without evaluating the properties of a plugin, as pluggy does from 1.7 on."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        if isinstance(inspect.getattr_static(plugin, name, None), property | functools.cached_property):
            return None
        return super().parse_hookimpl_opts(plugin, name)


def manager() -> pluggy.PluginManager:
    """Return a plugin manager with gangplank's hooks and without plugins."""
    empty = _Manager(hookspecs.PROJECT)
    empty.add_hookspecs(hookspecs)
    return empty


@functools.cache
def built_in() -> Plugin:
    """Return the plugin that announces gangplank's own sinks and adapters."""
    return loaded(importlib.import_module(_BUILT_IN), hookspecs.PROJECT, "gangplank itself", _BUILT_IN)


def loaded(plugin: object, name: str, source: str, module: str) -> Plugin:
    """Return a plugin with the hooks that it implements. Each has a manager of its own, which isolates its errors.

    Raises:
        pluggy.PluginValidationError: a hook takes an argument that does not exist.
    """
    own, problem = manager(), ""
    own.register(plugin, name)
    try:
        own.check_pending()
    except pluggy.PluginValidationError as error:
        problem = str(error)
        log.warn_once(f"pending {name}", "The plugin %s implements a hook that does not exist: %s", name, problem)
    callers = own.get_hookcallers(plugin) or []
    hooks = {caller.name: caller for caller in callers if caller.has_spec()}
    return Plugin(name, source, module, "loaded", problem, hooks)


def installed() -> tuple[Plugin, ...]:
    """Load the plugins of the entry-point group; each one that cannot be loaded is logged as one warning.

    Raises:
        ConfigurationError: two distributions install plugins of the same name.
    """
    entries = sorted(_entries(), key=lambda entry: entry.name)
    off = {entry.name: variable for entry in entries if (variable := _switched_off_by(entry.name))}
    used = [(entry.name, f"{_source(entry)} ({entry.value})") for entry in entries if entry.name not in off]
    refuse_duplicates("plugins", [(hookspecs.PROJECT, "gangplank itself"), *used], f", or set {DISABLE}=%s")
    for name in sorted(set(_names(ALLOW) or ()) - {entry.name for entry in entries}):
        log.warn_once(f"not installed {name}", "%s names %s, but no such plugin is installed", ALLOW, name)
    return tuple(
        Plugin(entry.name, _source(entry), entry.value, "switched off", off[entry.name])
        if entry.name in off
        else _from_entry_point(entry)
        for entry in entries
    )


def refuse_duplicates(what: str, named: Iterable[tuple[str, str]], fix: str = "") -> None:
    """Raise if two owners claim one name.

    Args:
        what: the kind of things that have the names, in the plural, for the message.
        named: pairs of a name and its owner.
        fix: a second fix for the message; `%s` stands for the name.

    Raises:
        ConfigurationError: two owners claim one name; the message names both.
    """
    owners: dict[str, str] = {}
    for name, owner in named:
        other = owners.setdefault(name, owner)
        if other is not owner:
            raise ConfigurationError(
                f"two {what} claim the name {name!r}: {other} and {owner}: uninstall one{fix.replace('%s', name)}"
            )


def _entries() -> Iterator[EntryPoint]:
    """Yield the entry points of the installed distributions, without those whose metadata cannot be read."""
    from importlib.metadata import distributions  # noqa: PLC0415  slow, and only needed by exporters

    seen: set[str] = set()
    try:
        for distribution in distributions():
            yield from _entries_of(distribution, seen)
    except Exception as error:  # noqa: BLE001  a folder of the path, or the finder of a package, may be broken
        log.warn_once("distributions", "The installed packages cannot be listed: %s", describe(error))


def _entries_of(distribution: Distribution, seen: set[str]) -> Iterator[EntryPoint]:
    """Yield the entry points of a distribution, unless its name has been seen."""
    name = "a package"
    try:
        name = distribution.name
        if name not in seen:  # otherwise it is the same distribution, further down the path
            seen.add(name)
            yield from distribution.entry_points.select(group=hookspecs.PROJECT)
    except Exception as error:  # noqa: BLE001  the metadata of any package may be broken
        log.warn_once(f"metadata {name}", "The entry points of %s cannot be read: %s", name, describe(error))


def _from_entry_point(entry: EntryPoint) -> Plugin:
    try:
        return loaded(entry.load(), entry.name, _source(entry), entry.value)
    except (Exception, SystemExit) as error:  # noqa: BLE001  the module may raise anything
        problem = describe(error)
        log.warn_once(f"load {entry.name}", "The plugin %s cannot be loaded: %s", entry.name, problem)
        return Plugin(entry.name, _source(entry), entry.value, "broken", problem)


def _source(entry: EntryPoint) -> str:
    with contextlib.suppress(Exception):  # such as metadata without a version
        if entry.dist:
            return f"{entry.dist.name} {entry.dist.version}"
    return "an unknown distribution"


def _switched_off_by(name: str) -> str:
    """Return the variable that switches a plugin off, an empty string if none does."""
    disabled, allowed = _names(DISABLE) or (), _names(ALLOW)
    if name in disabled or {"all", "1", "true"} & {word.lower() for word in disabled}:
        return DISABLE
    return "" if allowed is None or name in allowed else ALLOW


def _names(variable: str) -> list[str] | None:
    """Return the names in an environment variable, None if it is not set."""
    text = os.environ.get(variable)
    return None if text is None else [name for name in re.split(r"[,\s]+", text) if name]
