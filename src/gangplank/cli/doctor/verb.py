"""`gangplank doctor`: check everything between this machine and Prometheus, and suggest a fix for each problem."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict

from gangplank.cli.arguments import add_json
from gangplank.cli.doctor import destination, environment, installation, prometheus
from gangplank.cli.doctor.check import Check
from gangplank.cli.exit_codes import epilog, usage_error
from gangplank.core.errors import ConfigurationError
from gangplank.core.log import one_line
from gangplank.core.sinks.address import conceal, parse, scheme_of
from gangplank.core.types import Group

_COLOURS = {"ok": "\x1b[32m", "warning": "\x1b[33m", "problem": "\x1b[31m"}


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        "doctor",
        help="look for problems, and suggest fixes",
        description="Check this installation, a destination, and the Prometheus that scrapes it. To check a "
        "Pushgateway, it pushes a small group, and deletes it again.",
        epilog=epilog(done="no problem, though there may be warnings", failed="there is a problem"),
    )
    parser.add_argument("address", metavar="ADDRESS", nargs="?", type=conceal, help="where runs push, as in a script")
    parser.add_argument("--prometheus", metavar="URL", type=conceal, help="the Prometheus that scrapes the gateway")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check everything; return 1 if there is a problem."""
    try:
        is_gateway = arguments.address is not None and scheme_of(arguments.address) in ("http", "https")
        gateway = parse(arguments.address) if is_gateway else None
        if arguments.prometheus is not None:
            parse(arguments.prometheus)
    except ConfigurationError as error:
        return usage_error("doctor", str(error))
    checks: list[Check] = []

    def report(check: Check) -> None:
        checks.append(check)
        if not arguments.json:
            print(_line(check), flush=True)

    def while_pushed(group: Group | None) -> None:
        if arguments.prometheus is not None:
            prometheus.check_prometheus(arguments.prometheus, gateway, group, report)

    for check in (*installation.checks(), *environment.checks()):
        report(check)
    destination.check_destination(arguments.address, report, while_pushed)
    if arguments.json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        print(_summary(checks))
    return int(any(check.state == "problem" for check in checks))


def _line(check: Check) -> str:
    text = f"{one_line(check.found, 1_000)}{' -> ' if check.fix else ''}{one_line(check.fix, 1_000)}"
    coloured = sys.stdout is not None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    state = f"{_COLOURS[check.state]}{check.state:7}\x1b[0m" if coloured else f"{check.state:7}"
    return f"{state}  {check.check:12}  {text}"


def _summary(checks: Sequence[Check]) -> str:
    counts = {state: sum(check.state == state for check in checks) for state in ("problem", "warning")}
    parts = [f"{count} {state}{'s' if count > 1 else ''}" for state, count in counts.items() if count]
    return f"{', '.join(parts)}." if parts else "All is well."
