"""`gangplank plugins`: the installed plugins, and why one is not used."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from gangplank.cli.arguments import add_json
from gangplank.cli.exit_codes import epilog
from gangplank.cli.installed.plugins import captured_warnings, describe_state, other_warnings, problem_of
from gangplank.core.plugins import registry
from gangplank.core.plugins.loading import Plugin


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        "plugins",
        help="list the installed plugins",
        description="List the plugins that installed packages announce, their hooks, and what is wrong with them.",
        epilog=epilog(
            done="listed, whether switched off or not",
            failed="a plugin is broken or implements a hook that does not exist, or two have the same name",
        ),
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List the plugins; return 1 if a plugin that is not switched off has a problem."""
    with captured_warnings() as messages:
        plugins = registry.installed()
    for message in other_warnings(messages, plugins):
        print(f"gangplank: {message}", file=sys.stderr)
    if arguments.json:
        print(json.dumps([_document(plugin) for plugin in plugins], indent=2))
    elif not plugins:
        print("No plugins are installed.")
    else:
        width = max(len(plugin.name) for plugin in plugins)
        for plugin in plugins:
            print(f"{plugin.name:{width}}  {describe_state(plugin)} ({plugin.source}, {plugin.module})")
    return int(any(problem_of(plugin) for plugin in plugins))


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
