"""`gangplank gateway`: the embedded gateway as a program."""

from __future__ import annotations

import argparse
import signal
import sys
import time

from gangplank.cli.exit_codes import DONE, FAILED, epilog, usage_error
from gangplank.testing.gateway import Gateway

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_POLL = 0.1  # seconds
_WELCOME = """\
Gateway listening; its page of metrics is {url}/metrics
It keeps everything in memory, for laptops and tests: what was pushed is lost when it stops.
Press Ctrl-C to stop it."""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        "gateway",
        help="run a small gateway in memory, for laptops and tests",
        description="Run a Pushgateway that keeps what is pushed to it in memory, for laptops and tests.",
        epilog=epilog(done="stopped by Ctrl-C or SIGTERM", failed="it cannot listen on the address"),
    )
    parser.add_argument(
        "--listen",
        metavar="ADDR",
        default="127.0.0.1:9091",
        help="HOST:PORT to listen on (default: %(default)s); port 0 takes any free port",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM; return the exit code."""
    try:
        gateway = Gateway(arguments.listen)
    except ValueError as error:
        return usage_error("gateway", str(error))
    received: list[int] = []
    handlers = {number: signal.signal(number, lambda number, _: received.append(number)) for number in _STOP_SIGNALS}
    try:
        try:
            gateway.start()
        except OSError as error:
            print(f"gangplank gateway: cannot listen on {arguments.listen!r}: {error.strerror}", file=sys.stderr)
            return FAILED
        print(_WELCOME.format(url=gateway.url), flush=True)
        while not received:
            time.sleep(_POLL)  # Windows cannot wait for a signal
    finally:
        gateway.stop()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return DONE
