"""The plugins of this process, and what they provide: sinks, adapters, and observers of all runs."""

from __future__ import annotations

import functools
from dataclasses import astuple

import pluggy

from gangplank.core.errors import ConfigurationError
from gangplank.core.log import describe
from gangplank.core.plugins import hookspecs, loading
from gangplank.core.plugins.loading import Plugin, log
from gangplank.core.plugins.observers import Observers, PassOn, warn_raised
from gangplank.core.sinks.address import BUILT_IN_SCHEMES, conceal, whole, without_credentials
from gangplank.core.sinks.base import Sink
from gangplank.core.types import Adapter


@functools.cache
def installed() -> tuple[Plugin, ...]:
    """Return the installed plugins; the first call imports them.

    Raises:
        ConfigurationError: two distributions install plugins of the same name.
    """
    found = loading.installed()
    for plugin in found:
        observers.add(plugin.name, plugin.hooks)
    return found


#: Of all runs in this process.
observers = Observers(log)
_registered: dict[str, Plugin] = {}


def register(plugin: object, name: str) -> None:
    """Add a plugin to this process, as installing it would: for notebooks and tests.

    From now on it observes all runs of this process, on the observers' thread.

    Args:
        plugin: a module, or any object with functions that `hookimpl` marks.
        name: of the plugin; must be unique.

    Raises:
        ConfigurationError: the name is taken, or a hook takes an argument that does not exist.
    """
    taken = [hookspecs.PROJECT, *_registered, *(one.name for one in installed())]
    if name in taken:
        raise ConfigurationError(f"a plugin has the name {name!r} already: choose another name")
    try:
        loaded = loading.loaded(plugin, name, "this process", getattr(plugin, "__name__", type(plugin).__name__))
    except pluggy.PluginValidationError as error:
        raise ConfigurationError(f"the plugin {name} cannot be used: {error}") from error
    _registered[name] = loaded
    observers.add(name, loaded.hooks)


def unregister(name: str) -> None:
    """Undo `register`; a name that is not registered, or is that of an installed plugin, is ignored."""
    if _registered.pop(name, None) is not None:
        observers.remove(name)


def exporter_hooks(exporter: object) -> pluggy.PluginManager:
    """Return the plugin manager of one exporter: the exporter delivers, and each call is passed on to the observers."""
    installed()
    manager = loading.manager()
    manager.register(exporter, hookspecs.PROJECT)
    manager.register(PassOn(observers), "observers")
    return manager


def open_sink(address: str) -> Sink:
    """Return the sink for an address: a built-in one, or that of the first plugin that opens its scheme.

    Raises:
        ConfigurationError: the address cannot work, or no plugin opens its scheme.
    """
    address = conceal(address)
    sink: Sink | None = loading.built_in().hooks["gangplank_open_sink"](address=address)
    if sink is not None:
        return sink
    public = without_credentials(whole(address))
    openers = [plugin for plugin in _others() if "gangplank_open_sink" in plugin.hooks]
    errors = []
    for plugin in openers:
        try:
            sink = plugin.hooks["gangplank_open_sink"](address=public)
        except ConfigurationError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001  plugins may raise anything
            errors.append(f"; {plugin.name} raised {describe(error)}")
            continue
        if sink is not None and public != whole(address):
            raise ConfigurationError(
                f"{public}: the plugin {plugin.name} does not receive the credentials in an address: "
                "remove them from the address, and give them in the way that the plugin documents"
            )
        if sink is not None:
            return _checked_sink(sink, plugin.name)
    asked = f", nor known to the plugins {', '.join(plugin.name for plugin in openers)}" if openers else ""
    raise ConfigurationError(
        f"{public.partition('?')[0]}: the scheme is not built in ({BUILT_IN_SCHEMES}){asked}: correct it, or install "
        f"the package that adds it (`gangplank plugins` lists what is installed){''.join(errors)}"
    )


def adapters() -> list[tuple[str, Adapter]]:
    """Return the announced adapters, each with the name of its plugin.

    Raises:
        ConfigurationError: two plugins announce adapters of the same name.
    """
    found = []
    for plugin in (loading.built_in(), *_others()):
        if "gangplank_adapters" in plugin.hooks:
            try:
                announced = [one for some in plugin.hooks["gangplank_adapters"]() for one in some]
                found += [(plugin.name, _checked_adapter(one)) for one in announced]
            except (Exception, SystemExit) as error:  # noqa: BLE001  plugins may raise anything
                warn_raised(log, plugin.name, "gangplank_adapters", error)
    loading.refuse_duplicates("adapters", [(adapter.name, f"the plugin {plugin}") for plugin, adapter in found])
    return found


def _others() -> tuple[Plugin, ...]:
    return *installed(), *_registered.values()


def _checked_sink(sink: Sink, plugin: str) -> Sink:
    if isinstance(sink, type) or not all(callable(getattr(sink, method, None)) for method in ("send", "close")):
        raise ConfigurationError(f"the plugin {plugin} opened {sink!r:.100}, which is not a gangplank.Sink")
    try:
        str(sink)
    except Exception as error:  # noqa: BLE001  plugins may raise anything
        raise ConfigurationError(f"the plugin {plugin} opened a sink whose str() raises {describe(error)}") from None
    return sink


def _checked_adapter(adapter: object) -> Adapter:
    if not isinstance(adapter, Adapter) or not all(isinstance(text, str) for text in astuple(adapter)):
        raise TypeError(f"{adapter!r} is not a gangplank.Adapter whose fields are text")
    return adapter
