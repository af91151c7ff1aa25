"""What `delete` and `prune` have in common: list groups, ask for confirmation, delete them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping

from gangplank.cli.arguments import add_json
from gangplank.cli.exit_codes import DONE, FAILED, epilog
from gangplank.cli.remote.gateway import GatewayClient
from gangplank.cli.remote.groups import GatewayGroup
from gangplank.core.types import Group

EPILOG = epilog(
    done="deleted, or nothing to delete", failed="the gateway cannot be reached or refuses, or the answer was no"
)

#: The groups to delete, and the time by the gateway's clock.
Selection = tuple[list[GatewayGroup], float]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add `--yes` and `--json`."""
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    add_json(parser)


def can_ask() -> bool:
    """Return whether stdin is a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


def delete_selected(
    client: GatewayClient, select: Callable[[], Selection], *, yes: bool, as_json: bool, dry_run: bool = False
) -> int:
    """List groups, ask whether to delete them, and delete them; return the exit code.

    Args:
        client: the gateway.
        select: returns the groups to delete; called again after the answer, since they may have changed meanwhile.
        yes: do not ask.
        as_json: print one JSON document to stdout, and the list to stderr.
        dry_run: only list.
    """
    groups, now = select()
    for group in groups:
        print(_line(group, now), file=sys.stderr if as_json else sys.stdout)
    asked = bool(groups) and not dry_run and not yes
    confirmed = not dry_run and (not asked or _ask(len(groups)))
    if asked and confirmed:
        listed = {group.key for group in groups}
        selected, now = select()
        groups = [group for group in selected if group.key in listed]
    failed = client.delete_groups(groups) if confirmed else {}
    for group in groups:
        if reason := failed.get(group.key):
            print(f"gangplank: not deleted: {group}: {reason}", file=sys.stderr)
    if as_json:
        documents = [_document(group, now, failed, deleted=confirmed) for group in groups]
        print(json.dumps(documents, indent=2, allow_nan=False))
    else:
        number = len(groups) - len(failed) if confirmed or dry_run else 0
        print(f"{'Would delete' if dry_run else 'Deleted'} {_count(number)}.")
    return FAILED if failed or (asked and not confirmed) else DONE


def _line(group: GatewayGroup, now: float) -> str:
    owner = "gangplank's" if group.is_gangplanks else "not gangplank's"
    state = "STILL RUNNING" if group.is_alive(now) else group.describe_state(now)
    return "; ".join(filter(None, (str(group), owner, state, f"last push {group.describe_push(now)}")))


def _ask(number: int) -> bool:
    what = f"these {number} groups" if number > 1 else "this group"
    print(f"Delete {what}? [y/N] ", end="", file=sys.stderr, flush=True)
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return False


def _document(group: GatewayGroup, now: float, failed: Mapping[Group, str], *, deleted: bool) -> dict[str, object]:
    return {
        "labels": group.labels,
        "gangplank": group.is_gangplanks,
        "state": group.state or None,
        "running": group.is_alive(now),
        "pushed_at": group.pushed_at or None,
        "deleted": deleted and group.key not in failed,
        "error": failed.get(group.key),
    }


def _count(number: int) -> str:
    return f"{number} group" if number == 1 else f"{number} groups" if number else "nothing"
