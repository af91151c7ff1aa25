"""`gangplank delete`: delete the groups of a job, once somebody agrees."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping

from gangplank.cli.client import EXIT_CODES, GatewayClient, gateway
from gangplank.cli.groups import Held, chosen
from gangplank.core.snapshot import Group

FAILED = "no gateway answers, it refuses, or the answer was no"


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        "delete",
        help="delete a job's groups from a gateway",
        description="Delete a job's groups from a Pushgateway, whoever pushed them; they are listed first.",
        epilog=EXIT_CODES.format(done="deleted, or nothing to delete", failed=FAILED),
    )
    parser.add_argument("gateway", metavar="ADDRESS", type=gateway, help="the gateway: HOST:PORT or a URL")
    parser.add_argument("--job", required=True, help="the job; with --yes, * and ? are wildcards, here and below")
    parser.add_argument("--phase", help="only this phase")
    parser.add_argument(
        "--label",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=_label,
        help="only groups whose key has this label; an empty value: only those whose key lacks it",
    )
    add_consent(parser)
    parser.set_defaults(run=run)


def add_consent(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how to agree and how to report."""
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """List the groups, ask, delete; return the exit code."""
    values = (arguments.job, arguments.phase or "", *(value for _, value in arguments.label))
    if not arguments.yes and any(wildcard in value for value in values for wildcard in "*?"):
        return refused("delete", "a wildcard (* or ?) deletes what you may not see coming: give --yes with it")
    if not arguments.yes and not can_ask():
        return refused("delete", "there is no terminal to ask on: give --yes")

    def look() -> tuple[list[Held], float]:
        held, page = arguments.gateway.look()
        return list(chosen(held, arguments.job, arguments.phase, arguments.label)), page.now

    return carry_out(arguments.gateway, look, yes=arguments.yes, as_json=arguments.json)


def can_ask() -> bool:
    """Return whether somebody sits at a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


def refused(verb: str, why: str) -> int:
    """Say why a command line makes no sense; return its exit code."""
    print(f"gangplank {verb}: {why}", file=sys.stderr)
    return 2


def carry_out(
    client: GatewayClient, look: Callable[[], tuple[list[Held], float]], *, yes: bool, as_json: bool, dry: bool = False
) -> int:
    """List groups, ask whether to delete them, and do so; return the exit code.

    Args:
        client: the gateway.
        look: returns the groups that are meant, and the time there.
        yes: ask nothing.
        as_json: stdout has a JSON document and nothing else.
        dry: only list.
    """
    groups, now = look()
    talk = sys.stderr if as_json else sys.stdout
    for held in groups:
        print(_line(held, now), file=talk)
    asked = bool(groups) and not dry and not yes
    agreed = not dry and (not asked or _ask(len(groups)))
    if asked and agreed:
        # What was answered about may have changed meanwhile.
        listed, (newest, now) = {held.group for held in groups}, look()
        groups = [held for held in newest if held.group in listed]
    failed = client.delete(groups) if agreed else {}
    for held in groups:
        if why := failed.get(held.group):
            print(f"gangplank: not deleted: {held}: {why}", file=sys.stderr)
    if as_json:
        documents = [_document(held, now, failed, deleted=agreed) for held in groups]
        print(json.dumps(documents, indent=2, allow_nan=False))
    else:
        print(f"{'Would delete' if dry else 'Deleted'} {_count(len(groups) - len(failed) if agreed or dry else 0)}.")
    return 1 if failed or (asked and not agreed) else 0


def _line(held: Held, now: float) -> str:
    whose = "gangplank's" if held.is_ours else "not gangplank's"
    standing = "STILL RUNNING" if held.is_alive(now) else held.standing(now)
    return "; ".join(filter(None, (str(held), whose, standing, f"last push {held.push(now)}")))


def _ask(number: int) -> bool:
    what = f"these {number} groups" if number > 1 else "this group"
    print(f"Delete {what}? [y/N] ", end="", file=sys.stderr, flush=True)
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return False


def _document(held: Held, now: float, failed: Mapping[Group, str], *, deleted: bool) -> dict[str, object]:
    return {
        "labels": held.key,
        "gangplank": held.is_ours,
        "state": held.state or None,
        "running": held.is_alive(now),
        "pushed_at": held.pushed or None,
        "deleted": deleted and held.group not in failed,
        "error": failed.get(held.group),
    }


def _count(number: int) -> str:
    return f"{number} group" if number == 1 else f"{number} groups" if number else "nothing"


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is no label: write NAME=VALUE")
    return name, value
