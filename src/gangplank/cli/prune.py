"""`gangplank prune`: delete the runs that nobody has heard of for long."""

from __future__ import annotations

import argparse
import re

from gangplank.cli.client import EXIT_CODES, gateway
from gangplank.cli.delete import FAILED, add_consent, can_ask, carry_out, refused
from gangplank.cli.groups import Held, chosen
from gangplank.core.errors import GangplankError

UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile("".join(f"(?:([0-9]{{1,9}}){unit})?" for unit in UNITS))


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        "prune",
        help="delete old runs from a gateway",
        description="Delete the groups of gangplank's runs whose last push is old, by the gateway's own clock; never "
        "other people's groups. They are listed first.",
        epilog=EXIT_CODES.format(done="deleted, or nothing to delete", failed=FAILED),
    )
    parser.add_argument("gateway", metavar="ADDRESS", type=gateway, help="the gateway: HOST:PORT or a URL")
    parser.add_argument(
        "--older-than", metavar="AGE", required=True, type=duration, help="how old: 7d, 1d12h, 90m (units w d h m s)"
    )
    parser.add_argument("--job", metavar="PATTERN", help="only jobs that match; * and ? are wildcards")
    parser.add_argument("--dry-run", action="store_true", help="list what would be deleted, and delete nothing")
    add_consent(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List the groups, ask, delete; return the exit code."""
    if not arguments.yes and not arguments.dry_run and not can_ask():
        return refused("prune", "there is no terminal to ask on: give --yes, or --dry-run to look")

    def look() -> tuple[list[Held], float]:
        held, page = arguments.gateway.look()
        if page.clock is None:
            raise GangplankError(f"{arguments.gateway} does not say what time it is there: no Date in its answer")
        old = [
            group
            for group in chosen(held, arguments.job)
            if group.has_run and page.clock - group.pushed > arguments.older_than
        ]
        return old, page.clock

    return carry_out(arguments.gateway, look, yes=arguments.yes, as_json=arguments.json, dry=arguments.dry_run)


def duration(text: str) -> int:
    """Return the seconds of a duration as Prometheus writes it.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    found = _DURATION.fullmatch(text)
    if not text or not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: write 7d, 1d12h or 90m (units w d h m s)")
    return sum(int(number or 0) * length for number, length in zip(found.groups(), UNITS.values(), strict=True))
