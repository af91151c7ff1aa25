"""`gangplank adapters`: the frameworks that gangplank can export from, and why one cannot be used."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from gangplank.cli.arguments import add_json
from gangplank.cli.exit_codes import DONE, epilog
from gangplank.cli.installed.adapters import adapter_statuses


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        "adapters",
        help="list the frameworks that can be exported from",
        description="List the announced adapters, and why one cannot be used.",
        epilog=epilog(done="listed, whether available or not", failed="two plugins announce adapters of the same name"),
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List the adapters; return 0."""
    statuses = adapter_statuses()
    if arguments.json:
        print(json.dumps([asdict(status) for status in statuses], indent=2))
        return DONE
    width = max((len(status.name) for status in statuses), default=0)
    for status in statuses:
        framework = f"{status.framework} {status.framework_version}".rstrip()
        details = f"{framework}, {status.exporter}" if status.available else status.problem
        plugin = "" if status.plugin == "gangplank" else f" (from the plugin {status.plugin})"
        print(f"{status.name:{width}}  {'available' if status.available else 'not available'}: {details}{plugin}")
    return DONE
