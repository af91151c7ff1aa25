"""`gangplank plugins`: what is installed to listen in, and why it does not."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

from gangplank.cli.client import EXIT_CODES
from gangplank.core import plugins
from gangplank.core.hookspecs import PROJECT
from gangplank.core.plugins import Plugin
from gangplank.core.report import log, shown


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        "plugins",
        help="list the installed plugins",
        description="List the plugins that installed packages announce, their hooks, and what is wrong with them.",
        epilog=EXIT_CODES.format(
            done="listed, switched off or not",
            failed="a plugin is broken, has a hook that nobody calls, or two claim one name",
        ),
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List the plugins; return 1 where something is wrong with one that is not switched off."""
    with listening() as said:
        found = plugins.load()
    for line in beside(said, found):
        print(f"gangplank: {line}", file=sys.stderr)
    if arguments.json:
        print(json.dumps([_document(plugin) for plugin in found], indent=2))
    elif not found:
        print("No plugins are installed.")
    else:
        widest = max(len(plugin.name) for plugin in found)
        for plugin in found:
            print(f"{plugin.name:{widest}}  {standing(plugin)} ({plugin.source}, {plugin.module})")
    return int(any(fault(plugin) for plugin in found))


def standing(plugin: Plugin) -> str:
    """Return how a plugin stands, in words."""
    if plugin.state == "switched off":
        return f"switched off by {plugin.problem}"
    hooks = ", ".join(sorted(hook.removeprefix(f"{PROJECT}_") for hook in plugin.hooks))
    problem = shown(plugin.problem)
    if plugin.state == "broken":
        return f"broken: {problem}"
    return f"loaded: {hooks or 'it implements no hook'}{'; ' if problem else ''}{problem}"


def fault(plugin: Plugin) -> str:
    """Return what is wrong with a plugin, or nothing; to be switched off is nothing."""
    return "" if plugin.state == "switched off" else shown(plugin.problem)


@contextlib.contextmanager
def listening() -> Iterator[list[str]]:
    """Take what gangplank would log meanwhile."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    propagate, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield said
    finally:
        log.removeHandler(handler)
        log.propagate = propagate


def beside(said: list[str], found: tuple[Plugin, ...]) -> list[str]:
    """Return what was said and is no plugin's own fault, which its line in the list has."""
    faults = [fault(plugin) for plugin in found if fault(plugin)]
    return [line for line in said if not any(fault in line for fault in faults)]


def _document(plugin: Plugin) -> dict[str, Any]:
    off = plugin.state == "switched off"
    return {
        "name": plugin.name,
        "source": plugin.source,
        "module": plugin.module,
        "state": plugin.state,
        "switched_off_by": plugin.problem if off else None,
        "problem": "" if off else plugin.problem,
        "hooks": sorted(plugin.hooks),
    }
