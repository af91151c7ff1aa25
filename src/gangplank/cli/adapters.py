"""`gangplank adapters`: the frameworks that can be exported from, and why one cannot."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from gangplank.cli.client import EXIT_CODES
from gangplank.core import plugins
from gangplank.core.report import shown
from gangplank.core.snapshot import Adapter

# Importing a framework takes seconds, prints what it likes, and may end the process: it has one of its own. What is
# said of it goes to the stdout that the framework does not get.
_IMPORTS = """
import importlib, json, os, sys
answer = os.dup(1)
os.dup2(2, 1)
sys.path[:] = json.loads(sys.argv[1])
module, _, name = sys.argv[2].partition(":")
said = "-"
try:
    getattr(importlib.import_module(module), name)
except BaseException as error:
    said = f"{type(error).__name__}: {error}"
os.write(answer, said.encode(errors="replace"))
os._exit(0)
"""
_PATIENCE = 120.0


@dataclass(frozen=True)
class Availability:
    """An adapter, and whether it can be used here; `problem` is why it cannot."""

    name: str
    plugin: str
    framework: str
    framework_version: str
    exporter: str
    available: bool
    problem: str

    @property
    def installed(self) -> bool:
        """Whether the framework is there, be it broken."""
        return self.available or is_installed(self.framework)


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        "adapters",
        help="list the frameworks that can be exported from",
        description="List the adapters that are announced, and why one cannot be used.",
        epilog=EXIT_CODES.format(done="listed, available or not", failed="two plugins announce adapters of one name"),
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List the adapters; return 0."""
    found = look()
    if arguments.json:
        print(json.dumps([asdict(one) for one in found], indent=2))
        return 0
    widest = max((len(one.name) for one in found), default=0)
    for one in found:
        version = f"{one.framework} {one.framework_version}".rstrip()
        what = f"{version}, {one.exporter}" if one.available else one.problem
        brought = "" if one.plugin == "gangplank" else f" (from the plugin {one.plugin})"
        print(f"{one.name:{widest}}  {'available' if one.available else 'not available'}: {what}{brought}")
    return 0


def look() -> list[Availability]:
    """Return the announced adapters by name.

    Raises:
        ConfigurationError: two plugins announce adapters, or plugins, of one name.
    """
    announced = sorted(plugins.adapters(), key=lambda one: one[1].name)
    with ThreadPoolExecutor() as pool:
        problems = list(pool.map(_problem, (adapter for _, adapter in announced)))
    return [
        Availability(
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
    """Return whether a module, or the package it is in, is there; nothing is imported."""
    try:
        return importlib.util.find_spec(module.partition(".")[0]) is not None
    except (ImportError, ValueError):  # no name of a module, or one that something has made in memory
        return False


def version_of(module: str) -> str:
    """Return the version of the distribution that a module comes from; nothing is imported."""
    package = module.partition(".")[0]
    try:
        return importlib.metadata.version(package)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        pass
    for distribution in importlib.metadata.packages_distributions().get(package, []):
        return importlib.metadata.version(distribution)
    return ""


def _problem(adapter: Adapter) -> str:
    """Return why an adapter cannot be used, or nothing."""
    if not is_installed(adapter.framework):
        return f"{adapter.framework} is not installed: {shown(adapter.install)}"
    command = [sys.executable, "-c", _IMPORTS, json.dumps(sys.path), adapter.exporter]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False)  # noqa: S603  ourselves
    except subprocess.TimeoutExpired:
        return f"importing {adapter.exporter} takes more than {_PATIENCE:.0f} s"
    said = done.stdout.decode(errors="replace")
    if not said:
        return f"importing {adapter.exporter} ended the process (exit code {done.returncode})"
    return "" if said == "-" else f"{adapter.exporter} cannot be imported: {shown(said)}"
