"""`gangplank prune`: delete the groups of runs whose last push is old."""

from __future__ import annotations

import argparse
import re

from gangplank.cli.arguments import add_gateway
from gangplank.cli.deletion import EPILOG, Selection, add_options, can_ask, delete_selected
from gangplank.cli.exit_codes import usage_error
from gangplank.cli.remote.groups import matching
from gangplank.core.errors import GangplankError

UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile("".join(f"(?:([0-9]{{1,9}}){unit})?" for unit in UNITS))


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        "prune",
        help="delete old runs from a gateway",
        description="Delete the groups of gangplank's runs whose last push is old by the gateway's own clock, and no "
        "other groups. They are listed first.",
        epilog=EPILOG,
    )
    add_gateway(parser)
    parser.add_argument(
        "--older-than",
        metavar="AGE",
        required=True,
        type=duration,
        help="the age of the last push: 7d, 1d12h, 90m (units w d h m s)",
    )
    parser.add_argument("--job", metavar="PATTERN", help="only matching jobs; * and ? are wildcards")
    parser.add_argument("--dry-run", action="store_true", help="list what would be deleted, and delete nothing")
    add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List the groups, ask, delete them; return the exit code."""
    if not arguments.yes and not arguments.dry_run and not can_ask():
        reason = "cannot ask for confirmation, since stdin is not a terminal: give --yes, or --dry-run to list only"
        return usage_error("prune", reason)

    def select() -> Selection:
        groups, response = arguments.gateway.groups()
        now = response.server_time
        if now is None:
            raise GangplankError(
                f"the age of groups on {arguments.gateway} is unknown: its response has no Date header"
            )
        old = [
            group
            for group in matching(groups, arguments.job)
            if group.has_run_metrics and now - group.pushed_at > arguments.older_than
        ]
        return old, now

    return delete_selected(
        arguments.gateway, select, yes=arguments.yes, as_json=arguments.json, dry_run=arguments.dry_run
    )


def duration(text: str) -> int:
    """Return the seconds of a duration in Prometheus' notation.

    Raises:
        argparse.ArgumentTypeError: the text is not a duration.
    """
    found = _DURATION.fullmatch(text)
    if not text or not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration: write 7d, 1d12h or 90m (units w d h m s)")
    return sum(int(number or 0) * length for number, length in zip(found.groups(), UNITS.values(), strict=True))
