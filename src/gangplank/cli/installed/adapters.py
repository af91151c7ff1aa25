"""The announced adapters, and whether each can be used."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from gangplank.core.log import one_line
from gangplank.core.plugins import registry
from gangplank.core.types import Adapter

# A framework is imported in a process of its own: that takes seconds, may print anything, and may end the process. The
# result goes to the original stdout; what the framework prints goes to stderr.
_IMPORT_SCRIPT = """
import importlib, json, os, sys
stdout = os.dup(1)
os.dup2(2, 1)
sys.path[:] = json.loads(sys.argv[1])
module, _, name = sys.argv[2].partition(":")
result = "-"
try:
    getattr(importlib.import_module(module), name)
except BaseException as error:
    result = f"{type(error).__name__}: {error}"
os.write(stdout, result.encode(errors="replace"))
os._exit(0)
"""
_IMPORT_TIMEOUT = 120.0


@dataclass(frozen=True)
class AdapterStatus:
    """An adapter, and whether it can be used here.

    Attributes:
        name: the name of the adapter.
        plugin: the plugin that announces it.
        framework: the module that it adapts.
        framework_version: the version of that module's distribution, or an empty string if it is not known.
        exporter: `module:name` of the class that users train with.
        available: whether the exporter can be imported.
        problem: why it cannot, or an empty string.
    """

    name: str
    plugin: str
    framework: str
    framework_version: str
    exporter: str
    available: bool
    problem: str

    @property
    def installed(self) -> bool:
        """Whether the framework is installed, even if it is broken."""
        return self.available or is_installed(self.framework)


def adapter_statuses() -> list[AdapterStatus]:
    """Return the announced adapters, sorted by name. Each exporter is imported in a process of its own.

    Raises:
        ConfigurationError: two plugins announce adapters, or are plugins, of the same name.
    """
    announced = sorted(registry.adapters(), key=lambda pair: pair[1].name)
    with ThreadPoolExecutor() as pool:
        problems = list(pool.map(_problem, (adapter for _, adapter in announced)))
    return [
        AdapterStatus(
            adapter.name,
            plugin,
            adapter.framework,
            version_of(adapter.framework),
            adapter.exporter,
            not problem,
            problem,
        )
        for (plugin, adapter), problem in zip(announced, problems, strict=True)
    ]


def is_installed(module: str) -> bool:
    """Return whether a module, or its top-level package, is installed; nothing is imported."""
    try:
        return importlib.util.find_spec(module.partition(".")[0]) is not None
    except (ImportError, ValueError):  # not the name of a module, or one that was created in memory
        return False


def version_of(module: str) -> str:
    """Return the version of a module's distribution, or an empty string if it is not known; nothing is imported."""
    package = module.partition(".")[0]
    with contextlib.suppress(Exception):  # it is not there, or its metadata is broken
        return importlib.metadata.version(package)
    with contextlib.suppress(Exception):  # the metadata of any package may be broken
        for distribution in importlib.metadata.packages_distributions().get(package, []):
            return importlib.metadata.version(distribution)
    return ""


def _problem(adapter: Adapter) -> str:
    """Return why an adapter cannot be used, or an empty string."""
    if not is_installed(adapter.framework):
        return f"{adapter.framework} is not installed: {one_line(adapter.install)}"
    command = [sys.executable, "-c", _IMPORT_SCRIPT, json.dumps(sys.path), adapter.exporter]
    try:
        done = subprocess.run(  # noqa: S603  this Python
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_IMPORT_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"importing {adapter.exporter} takes more than {_IMPORT_TIMEOUT:.0f} s"
    result = done.stdout.decode(errors="replace")
    if not result:
        return f"importing {adapter.exporter} ended the process (exit code {done.returncode})"
    return "" if result == "-" else f"{adapter.exporter} cannot be imported: {one_line(result)}"
