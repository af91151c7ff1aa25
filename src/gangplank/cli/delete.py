"""`gangplank delete`: delete the groups of a job, after confirmation."""

from __future__ import annotations

import argparse

from gangplank.cli.arguments import add_gateway
from gangplank.cli.deletion import EPILOG, Selection, add_options, can_ask, delete_selected
from gangplank.cli.exit_codes import usage_error
from gangplank.cli.remote.groups import matching


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        "delete",
        help="delete a job's groups from a gateway",
        description="Delete a job's groups from a Pushgateway, whether gangplank pushed them or not. They are listed "
        "first.",
        epilog=EPILOG,
    )
    add_gateway(parser)
    parser.add_argument("--job", required=True, help="the job; with --yes, * and ? are wildcards in all values")
    parser.add_argument("--phase", help="only this phase")
    parser.add_argument(
        "--label",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=_label,
        help="only groups whose key has this label; with an empty value, only those whose key does not have it",
    )
    add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List the groups, ask, delete them; return the exit code."""
    values = (arguments.job, arguments.phase or "", *(value for _, value in arguments.label))
    if not arguments.yes and any(wildcard in value for value in values for wildcard in "*?"):
        return usage_error("delete", "a wildcard (* or ?) may match more than you expect: give --yes to use one")
    if not arguments.yes and not can_ask():
        return usage_error("delete", "cannot ask for confirmation, since stdin is not a terminal: give --yes")

    def select() -> Selection:
        groups, response = arguments.gateway.groups()
        return list(matching(groups, arguments.job, arguments.phase, arguments.label)), response.now

    return delete_selected(arguments.gateway, select, yes=arguments.yes, as_json=arguments.json)


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not a label: write NAME=VALUE")
    return name, value
