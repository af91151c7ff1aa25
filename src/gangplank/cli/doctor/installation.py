"""What `gangplank doctor` checks of the installation: versions, plugins, adapters."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator

from gangplank.cli.doctor.check import Check
from gangplank.cli.installed import adapters
from gangplank.cli.installed.plugins import captured_warnings, describe_state, other_warnings, problem_of
from gangplank.core.errors import ConfigurationError
from gangplank.core.plugins import registry
from gangplank.core.plugins.loading import DISABLE, Plugin

_REQUIRED = ("gangplank", "numpy", "prometheus-client", "pluggy")
_FRAMEWORKS = ("keras", "tensorflow", "jax", "torch", "lightning", "pytorch_lightning", "transformers", "xgboost")


def checks() -> Iterator[Check]:
    """Check which versions are installed, and each plugin and adapter."""
    required = ", ".join(f"{name} {adapters.version_of(name)}".rstrip() for name in _REQUIRED)
    yield Check("versions", "ok", f"Python {platform.python_version()}, {required}")
    installed = [f"{name} {adapters.version_of(name)}".rstrip() for name in _FRAMEWORKS if adapters.is_installed(name)]
    yield Check("frameworks", "ok", ", ".join(installed) or "none; gangplank.run needs none")
    with captured_warnings() as messages:
        try:
            plugins, statuses = registry.installed(), adapters.adapter_statuses()
        except ConfigurationError as error:
            yield Check("plugins", "problem", str(error))
            return
    yield from _plugins(plugins, messages)
    for adapter in statuses:
        broken = adapter.installed and not adapter.available
        found = f"{adapter.name}: {adapter.problem or f'{adapter.exporter} can be imported'}"
        yield Check("adapter", "warning" if broken else "ok", found)


def _plugins(plugins: tuple[Plugin, ...], messages: list[str]) -> Iterator[Check]:
    for plugin in plugins:
        problem = problem_of(plugin)
        fix = f"fix it, or set {DISABLE}={plugin.name}" if problem else ""
        found = f"{plugin.name} ({plugin.source}) is {describe_state(plugin)}"
        yield Check("plugins", "problem" if plugin.state == "broken" else "warning" if problem else "ok", found, fix)
    disabled = set(re.split(r"[,\s]+", os.environ.get(DISABLE, ""))) - {"", "all", "1", "true"}
    for name in sorted(disabled - {plugin.name for plugin in plugins}):
        yield Check("plugins", "warning", f"{DISABLE} names {name}, but no such plugin is installed")
    for message in other_warnings(messages, plugins):
        yield Check("plugins", "warning", message)
    if not plugins:
        yield Check("plugins", "ok", "none are installed")
