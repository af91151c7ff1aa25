"""`gangplank show`: what a gateway holds, by job and phase."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING, Any

from gangplank.cli.client import EXIT_CODES, gateway
from gangplank.cli.groups import Held, chosen
from gangplank.core.errors import MissingExtraError
from gangplank.core.report import shown

if TYPE_CHECKING:
    from rich.console import Console

# Whole numbers below it are counts and read better without a point.
_EXACT = 2**53


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        "show",
        help="show what a gateway holds, by job and phase",
        description="Show what a Pushgateway holds of training runs: all of them, and one job's metrics.",
        epilog=EXIT_CODES.format(done="shown, even where there is nothing", failed="no gateway answers"),
    )
    parser.add_argument("gateway", metavar="ADDRESS", type=gateway, help="the gateway: HOST:PORT or a URL")
    parser.add_argument("--job", help="only this job, with its metrics; * and ? are wildcards")
    parser.add_argument("--phase", help="only this phase; * and ? are wildcards")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show the groups; return 0."""
    console = None if arguments.json else _console()
    held, page = arguments.gateway.look()
    ours = [group for group in chosen(held, arguments.job, arguments.phase) if group.is_ours]
    if console is None:
        print(json.dumps([document(group) for group in ours], indent=2, allow_nan=False))
        return 0
    from gangplank.cli.holdings import overview  # noqa: PLC0415  with rich

    if ours:
        console.print(overview(ours, page.now))
    else:
        asked = any((arguments.job, arguments.phase))
        print(f"The gateway on {arguments.gateway} holds nothing of {'that' if asked else 'gangplank'}.")
    if others := sum(not group.is_ours for group in held):
        print(f"{others} other group{'s' if others > 1 else ''}, not of gangplank.")
    if arguments.job is not None or len({group.key["job"] for group in ours}) == 1:
        _show_metrics(console, ours)
    return 0


def _console() -> Console:
    try:
        from rich.console import Console  # noqa: PLC0415  an extra
    except ImportError as error:
        raise MissingExtraError("tables need rich, --json does not", "cli") from error
    return Console(highlight=False)


def _show_metrics(console: Console, ours: Iterable[Held]) -> None:
    """Print the metrics of each job, apart where other labels of the key tell its groups apart."""
    from rich.text import Text  # noqa: PLC0415

    from gangplank.cli.holdings import Holdings  # noqa: PLC0415

    for key, groups in groupby(sorted(ours, key=_identity), key=_identity):
        holdings = Holdings(groups)
        if not holdings.phases:
            continue
        console.print(Text(", ".join(f"{shown(name)}={value!r}" for name, value in key), "bold"))
        console.print(holdings.table())
        for phase in holdings.phases:
            if holdings.weights(phase):
                console.print(f"The weights, gangplank_{phase}_model_weights:\n")
                console.print(holdings.histogram(phase))
                console.print()


def _identity(held: Held) -> tuple[tuple[str, str], ...]:
    return tuple(label for label in held.group.labels if label[0] != "phase")


def document(held: Held) -> dict[str, Any]:
    """Return a group as JSON has it."""
    return {
        "labels": held.key,
        "run": held.run or None,
        "state": held.state or None,
        "epoch": _number(held.value("epoch")),
        "epochs_planned": _number(held.value("epochs_planned")),
        "pushed_at": _number(held.pushed or None),
        "push_failed_at": _number(held.failed or None),
        "heartbeat": _number(held.value("heartbeat_timestamp_seconds")),
        "metrics": _metrics(held),
    }


def _metrics(held: Held) -> dict[str, Any]:
    """Return the samples by name: a value, or a list where labels tell several apart."""
    found: dict[str, list[dict[str, Any]]] = {}
    for series in held.series:
        labels = {name: value for name, value in series.labels.items() if name != "run"}
        found.setdefault(series.name, []).append({"labels": labels, "value": _number(series.value)})
    return {name: every if len(every) > 1 or every[0]["labels"] else every[0]["value"] for name, every in found.items()}


def _number(value: float | None) -> float | str | None:
    """Return a number that JSON has, or Prometheus' word for it."""
    if value is None or math.isfinite(value):
        return int(value) if value is not None and value.is_integer() and abs(value) < _EXACT else value
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
