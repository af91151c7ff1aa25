"""Who listens to the hooks: what gangplank registers itself, and strangers' plugins, whose faults are their own."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pluggy

from gangplank.core import hookspecs
from gangplank.core.address import SCHEMES_OF_OURS, anonymous
from gangplank.core.errors import ConfigurationError
from gangplank.core.observers import Observers
from gangplank.core.report import Report, told
from gangplank.core.sinks import Sink
from gangplank.core.snapshot import Adapter, RunInfo, RunView

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

DISABLE, ALLOW = "GANGPLANK_DISABLE_PLUGINS", "GANGPLANK_PLUGINS"

report = Report(raises=False)


@dataclass(frozen=True)
class Plugin:
    """A stranger's plugin, as far as it could be loaded.

    Attributes:
        name: of its entry point.
        source: the distribution that announces it, and its version.
        module: what the entry point names.
        state: whether it is used.
        problem: why it is not, or what is wrong with it all the same.
        hooks: what calls each hook that it implements.
    """

    name: str
    source: str
    module: str
    state: Literal["loaded", "switched off", "broken"]
    problem: str = ""
    hooks: Mapping[str, Callable[..., Any]] = field(default_factory=dict, repr=False)


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


_own = _manager()
_plugins: tuple[Plugin, ...] | None = None
_observers: Observers | None = None


def register(plugin: object) -> None:
    """Register a plugin of gangplank's own."""
    _own.register(plugin)


def unregister(plugin: object) -> None:
    """Take back what `register` did."""
    _own.unregister(plugin)


def load() -> tuple[Plugin, ...]:
    """Load the installed plugins, the first time; may take as long as they take to import.

    Raises:
        ConfigurationError: two distributions announce plugins of one name.
    """
    global _observers, _plugins  # noqa: PLW0603  once in a process
    if _plugins is None:
        _plugins = _installed()
        _observers = Observers({plugin.name: plugin.hooks for plugin in _plugins if plugin.hooks}, report)
    return _plugins


def announce(hook: str, run: RunView, **what: Any) -> None:
    """Call a hook: in what is ours now, and its errors are the caller's; in the others by and by."""
    try:
        getattr(_own.hook, hook)(run=run, **what)
    finally:
        if _observers is not None and _observers.hear(hook):
            _observers.tell(hook, run=RunInfo(run.group, run.name), **what)


def ask_for_info(run: RunView, take: Callable[[str, object], None]) -> None:
    """Have each plugin's facts about a run given to `take`, with the plugin's name, on the plugins' thread."""
    if _observers is not None and _observers.hear("gangplank_info"):
        _observers.tell("gangplank_info", take, run=RunInfo(run.group, run.name))


def open_sink(address: str) -> Sink:
    """Return the sink for an address, of ours or of the first plugin that knows it.

    Raises:
        ConfigurationError: the address cannot work, or nobody knows its scheme.
    """
    sink: Sink | None = _own.hook.gangplank_open_sink(address=address)
    if sink is not None:
        return sink
    shown = anonymous(address)
    openers = [plugin for plugin in load() if "gangplank_open_sink" in plugin.hooks]
    troubles = []
    for plugin in openers:
        try:
            sink = plugin.hooks["gangplank_open_sink"](address=shown)
        except ConfigurationError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001  theirs, whatever it is
            troubles.append(f"; {plugin.name} raised {told(error)}")
            continue
        if sink is not None and shown != address:
            raise ConfigurationError(
                f"{shown}: the plugin {plugin.name} is not given the credentials in an address: "
                "leave them out, and give them in the way that its documentation says"
            )
        if sink is not None:
            return _checked_sink(sink, plugin.name)
    asked = f", and of the plugins {', '.join(plugin.name for plugin in openers)}" if openers else ""
    bare = shown.partition("?")[0]
    raise ConfigurationError(
        f"{bare}: no scheme of {SCHEMES_OF_OURS}{asked}: correct it, or pip install the package that "
        f"brings it (`gangplank plugins` lists what is installed){''.join(troubles)}"
    )


def _checked_sink(sink: Sink, plugin: str) -> Sink:
    if isinstance(sink, type) or not all(callable(getattr(sink, method, None)) for method in ("send", "close")):
        raise ConfigurationError(f"the plugin {plugin} opened {sink!r:.100}, which is no gangplank.Sink")
    try:
        str(sink)
    except Exception as error:  # noqa: BLE001  theirs, whatever it is
        raise ConfigurationError(f"the plugin {plugin} opened a sink that has no text: {told(error)}") from None
    return sink


def adapters() -> list[tuple[str, Adapter]]:
    """Return the adapters that are announced, each with the name of its plugin.

    Raises:
        ConfigurationError: two plugins announce adapters of one name.
    """
    found = [(hookspecs.PROJECT, adapter) for some in _own.hook.gangplank_adapters() for adapter in some]
    for plugin in load():
        if "gangplank_adapters" in plugin.hooks:
            try:
                found += [(plugin.name, _checked(one)) for some in plugin.hooks["gangplank_adapters"]() for one in some]
            except (Exception, SystemExit) as error:  # noqa: BLE001  theirs, whatever it is
                _raised(plugin.name, "gangplank_adapters", error)
    _refuse_two_of_a_name("adapters", [(adapter.name, f"the plugin {plugin}") for plugin, adapter in found])
    return found


def _checked(adapter: object) -> Adapter:
    if not isinstance(adapter, Adapter) or not all(isinstance(text, str) for text in astuple(adapter)):
        raise TypeError(f"{adapter!r} is no gangplank.Adapter of text")
    return adapter


def _installed() -> tuple[Plugin, ...]:
    """Load what is installed under the entry-point group; what cannot be loaded is one warning."""
    entries = sorted(_entries(), key=lambda entry: entry.name)
    off = {entry.name: why for entry in entries if (why := _switched_off(entry.name))}
    used = [(entry.name, f"{_source(entry)} ({entry.value})") for entry in entries if entry.name not in off]
    _refuse_two_of_a_name("plugins", [(hookspecs.PROJECT, "gangplank itself"), *used], f", or set {DISABLE}=%s")
    for name in sorted(set(_names(ALLOW) or ()) - {entry.name for entry in entries}):
        report.once(f"not installed {name}", "%s names %s, and no such plugin is installed", ALLOW, name)
    return tuple(
        Plugin(entry.name, _source(entry), entry.value, "switched off", off[entry.name])
        if entry.name in off
        else _loaded(entry)
        for entry in entries
    )


def _entries() -> Iterator[EntryPoint]:
    """Yield what the installed distributions announce; one whose metadata are broken costs no other."""
    from importlib.metadata import distributions  # noqa: PLC0415  slow, and not needed before there is an exporter

    seen = set()
    for distribution in distributions():
        name = "a package"
        try:
            name = distribution.name
            if name not in seen:  # else the same one further down the path
                seen.add(name)
                yield from distribution.entry_points.select(group=hookspecs.PROJECT)
        except Exception as error:  # noqa: BLE001  whatever a stranger has put there
            report.once(f"metadata {name}", "The entry points of %s cannot be read: %s", name, told(error))


def _loaded(entry: EntryPoint) -> Plugin:
    # Each has a manager of its own: no fault of one is another's.
    manager, problem = _manager(), ""
    try:
        manager.register(entry.load(), entry.name)
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a stranger's module does when it is imported
        problem = told(error)
        report.once(f"load {entry.name}", "The plugin %s cannot be loaded: %s", entry.name, problem)
        return Plugin(entry.name, _source(entry), entry.value, "broken", problem)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        problem = str(error)
        report.once(f"pending {entry.name}", "The plugin %s has a hook that nobody calls: %s", entry.name, problem)
    callers = manager.get_hookcallers(manager.get_plugin(entry.name)) or []
    hooks = {caller.name: caller for caller in callers if caller.has_spec()}
    return Plugin(entry.name, _source(entry), entry.value, "loaded", problem, hooks)


def _source(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown distribution"


def _switched_off(name: str) -> str:
    """Return the variable that switches a plugin off, or nothing."""
    disabled, allowed = _names(DISABLE) or (), _names(ALLOW)
    if name in disabled or {"all", "1", "true"} & {word.lower() for word in disabled}:
        return DISABLE
    return "" if allowed is None or name in allowed else ALLOW


def _names(variable: str) -> list[str] | None:
    """Return the names in an environment variable, None where it is not set."""
    text = os.environ.get(variable)
    return None if text is None else [name for name in re.split(r"[,\s]+", text) if name]


def _refuse_two_of_a_name(what: str, named: Iterable[tuple[str, str]], cure: str = "") -> None:
    owners: dict[str, str] = {}
    for name, owner in named:
        other = owners.setdefault(name, owner)
        if other is not owner:
            raise ConfigurationError(
                f"two {what} claim the name {name!r}: {other} and {owner}: uninstall one{cure.replace('%s', name)}"
            )


def _raised(plugin: str, hook: str, error: BaseException) -> None:
    report.once(f"raised {plugin}", "The plugin %s raised in %s: %s", plugin, hook, told(error))
