"""`gangplank watch`: see the runs, in a terminal or on a page, with nothing installed."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gangplank.cli.arguments import add_gateway
from gangplank.cli.exit_codes import DONE, FAILED, epilog, usage_error
from gangplank.cli.remote.prometheus import Prometheus
from gangplank.cli.watch.server import PageServer, listening_address
from gangplank.cli.watch.sources import GatewaySource, PrometheusSource, Source
from gangplank.cli.watch.watcher import Watcher
from gangplank.core.errors import ConfigurationError, GangplankError, MissingExtraError

if TYPE_CHECKING:
    from rich.console import Console

_EVERY, _HOURS = 5.0, 6.0
_LONGEST_EVERY, _MOST_HOURS = 3600.0, 24.0 * 31
_POLL = 0.1


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        "watch",
        help="watch the runs, in the terminal or on a page",
        description="Watch the training runs on a Pushgateway, or in a Prometheus with their last hours: which of them "
        "need you, how far they are, and their newest metrics.",
        epilog=epilog(
            done="ended by Ctrl-C or SIGTERM, or the frame is printed",
            failed="with --once, the server cannot be read; rich is missing; the page's address is in use",
        ),
    )
    add_gateway(parser, optional=True)
    parser.add_argument("--prometheus", metavar="URL", type=_prometheus, help="read a Prometheus instead of a gateway")
    parser.add_argument(
        "--hours",
        type=_number(0.1, _MOST_HOURS),
        default=_HOURS,
        help="with --prometheus, how many hours of the past the curves begin with (default: %(default)g)",
    )
    parser.add_argument("--job", help="only this job; * and ? are wildcards")
    parser.add_argument("--phase", help="only this phase; * and ? are wildcards")
    parser.add_argument(
        "--every",
        metavar="SECONDS",
        type=_number(0.5, _LONGEST_EVERY),
        default=_EVERY,
        help="seconds between two readings (default: %(default)g)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--once", action="store_true", help="print one frame, and end")
    how.add_argument(
        "--serve",
        metavar="HOST:PORT",
        type=_loopback,
        help="show a page for browsers on this machine instead, such as 127.0.0.1:8088",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Watch until Ctrl-C; return the exit code."""
    if (arguments.gateway is None) == (arguments.prometheus is None):
        return usage_error("watch", "give the address of a gateway, or --prometheus URL, and not both")
    source: Source = (
        PrometheusSource(arguments.prometheus, arguments.hours)
        if arguments.gateway is None
        else GatewaySource(arguments.gateway)
    )
    watcher = Watcher(source, arguments.every, arguments.job, arguments.phase)
    if arguments.serve is not None:
        return _serve(watcher, arguments.serve)
    console = _console()
    from gangplank.cli.watch.terminal import print_once, show_live  # noqa: PLC0415  it needs rich

    if arguments.once:
        view = watcher.read()
        if view.error:
            raise GangplankError(view.error)
        print_once(console, watcher, view)
        return DONE
    if not console.is_terminal:
        return usage_error("watch", "stdout is not a terminal: give --once to print one frame, or --serve")
    if console.is_dumb_terminal:
        return usage_error("watch", "TERM says that this terminal cannot show frames: give --once, or --serve")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what ends it also leaves the terminal as it was
    with suppress(KeyboardInterrupt):
        show_live(console, watcher)
    return DONE


def _serve(watcher: Watcher, at: tuple[str, int]) -> int:
    """Serve the page until Ctrl-C or SIGTERM."""
    try:
        server = PageServer(at, watcher)
    except OSError as error:
        where = f"{at[0]}:{at[1]}"
        print(f"gangplank watch: cannot listen on {where}: {error.strerror or error}", file=sys.stderr)
        return FAILED
    received: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, _: received.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        with server:
            watcher.start()
            print(f"The runs of {watcher.view.source} are on {server.url}\nPress Ctrl-C to stop.", flush=True)
            while not received:
                time.sleep(_POLL)  # Windows cannot wait for a signal
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return DONE


def _console() -> Console:
    try:
        from rich.console import Console  # noqa: PLC0415  an extra
    except ImportError as error:
        raise MissingExtraError("frames in the terminal need rich, --serve does not", "cli") from error
    return Console(highlight=False)


def _prometheus(address: str) -> Prometheus:
    try:
        return Prometheus(address)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _loopback(text: str) -> tuple[str, int]:
    try:
        return listening_address(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


class _number:  # noqa: N801  argparse shows it as a function
    """Read a number between two limits."""

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high

    def __call__(self, text: str) -> float:
        with suppress(ValueError):
            if self._low <= (value := float(text)) <= self._high:
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {self._low:g} to {self._high:g}")
