"""`gangplank show`: what is on a gateway, by job and phase."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING, Any

from gangplank.cli.arguments import add_gateway, add_json
from gangplank.cli.exit_codes import DONE, FAILED, epilog
from gangplank.cli.remote.groups import GatewayGroup, matching
from gangplank.core.errors import GangplankError, MissingExtraError
from gangplank.core.log import one_line

if TYPE_CHECKING:
    from rich.console import Console

# Whole numbers below this are exact in a double, and are printed without a decimal point.
_EXACT = 2**53


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        "show",
        help="show what is on a gateway, by job and phase",
        description="Show the training runs on a Pushgateway: a table of all, and the metrics of one job.",
        epilog=epilog(done="shown, even if there is nothing", failed="the gateway cannot be reached, or refuses"),
    )
    add_gateway(parser)
    parser.add_argument("--job", help="only this job, with its metrics; * and ? are wildcards")
    parser.add_argument("--phase", help="only this phase; * and ? are wildcards")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show the groups; return 0, or 1 if the metrics of one cannot be shown."""
    console = None if arguments.json else _console()
    groups, response = arguments.gateway.groups()
    ours = [group for group in matching(groups, arguments.job, arguments.phase) if group.is_gangplanks]
    if console is None:
        print(json.dumps([_document(group) for group in ours], indent=2, allow_nan=False))
        return DONE
    from gangplank.cli.remote.tables import overview  # noqa: PLC0415  it needs rich

    if ours:
        console.print(overview(ours, response.now))
    else:
        which = "matching group" if arguments.job or arguments.phase else "group of gangplank's"
        print(f"The gateway on {arguments.gateway} has no {which}.")
    if others := sum(not group.is_gangplanks for group in groups):
        print(f"{others} other group{'s' if others > 1 else ''}, not gangplank's.")
    if arguments.job is not None or len({group.labels["job"] for group in ours}) == 1:
        return _print_metrics(console, ours)
    return DONE


def _console() -> Console:
    try:
        from rich.console import Console  # noqa: PLC0415  an extra
    except ImportError as error:
        raise MissingExtraError("tables need rich, --json does not", "cli") from error
    return Console(highlight=False)


def _print_metrics(console: Console, groups: Iterable[GatewayGroup]) -> int:
    """Print the metrics of each job, separately for each combination of the other labels; return the exit code."""
    from rich.text import Text  # noqa: PLC0415

    from gangplank.cli.remote.tables import JobMetrics  # noqa: PLC0415

    code = DONE
    for labels, of_job in groupby(sorted(groups, key=_without_phase), key=_without_phase):
        metrics = JobMetrics(of_job)
        if not metrics.phases:
            continue
        console.print(Text(", ".join(f"{one_line(name)}={value!r}" for name, value in labels), "bold"))
        console.print(metrics.table())
        for phase in metrics.phases:
            try:
                histogram = metrics.histogram(phase)
            except GangplankError as error:
                print(f"gangplank: {error}", file=sys.stderr)
                code = FAILED
                continue
            if histogram.row_count:
                console.print(f"The weights, gangplank_{phase}_model_weights:\n")
                console.print(histogram)
                console.print()
    return code


def _without_phase(group: GatewayGroup) -> tuple[tuple[str, str], ...]:
    return tuple(label for label in group.labels.items() if label[0] != "phase")


def _document(group: GatewayGroup) -> dict[str, Any]:
    return {
        "labels": group.labels,
        "run": group.run or None,
        "state": group.state or None,
        "epoch": _number(group.run_value("epoch")),
        "epochs_planned": _number(group.run_value("epochs_planned")),
        "step": _number(group.run_value("step")),
        "steps_planned": _number(group.run_value("steps_planned")),
        "pushed_at": _number(group.pushed_at or None),
        "push_failed_at": _number(group.push_failed_at or None),
        "heartbeat": _number(group.run_value("heartbeat_timestamp_seconds")),
        "metrics": _metrics(group),
    }


def _metrics(group: GatewayGroup) -> dict[str, Any]:
    """Return the samples by name: a value, or a list if there are labels."""
    metrics: dict[str, list[dict[str, Any]]] = {}
    for series in group.series:
        metrics.setdefault(series.name, []).append({"labels": series.labels, "value": _number(series.value)})
    return {
        name: samples if len(samples) > 1 or samples[0]["labels"] else samples[0]["value"]
        for name, samples in metrics.items()
    }


def _number(value: float | None) -> float | str | None:
    """Return a number that JSON can hold, or Prometheus' notation for it."""
    if value is None or math.isfinite(value):
        return int(value) if value is not None and value.is_integer() and abs(value) < _EXACT else value
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
