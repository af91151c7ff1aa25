"""`gangplank rules`: alert and recording rules for Prometheus."""

from __future__ import annotations

import argparse
from pathlib import Path

from gangplank.cli.exit_codes import DONE, epilog, usage_error
from gangplank.core.errors import ConfigurationError
from gangplank.monitoring import THRESHOLDS, rules
from gangplank.monitoring.rules import FORMATS


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        "rules",
        help="write alert and recording rules for Prometheus",
        description="Write a rule file for Prometheus: alerts on training runs, and what dashboards need recorded.",
        epilog=epilog(done="written", failed="the file cannot be written"),
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="prometheus",
        help="a rule file, or a PrometheusRule for the operator; give it the label that yours selects",
    )
    parser.add_argument("--out", metavar="FILE", type=Path, help="the file to write (default: standard output)")
    of_alerts = parser.add_argument_group("thresholds of the alerts")
    for threshold in THRESHOLDS:
        of_alerts.add_argument(
            f"--{threshold.name.replace('_', '-')}",
            metavar="VALUE",
            default=threshold.default,
            help=f"{threshold.help} (default: %(default)s)",
        )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the rules; return the exit code."""
    chosen = {threshold.name: getattr(arguments, threshold.name) for threshold in THRESHOLDS}
    try:
        text = rules(arguments.format, **chosen)
    except ConfigurationError as error:
        return usage_error("rules", str(error))
    if arguments.out is None:
        print(text, end="")
    else:
        arguments.out.write_text(text, "utf-8")
    return DONE
