"""`gangplank gateway`: the embedded gateway as a program."""

from __future__ import annotations

import argparse
import signal
import sys
import time

from gangplank.testing.gateway import Gateway

STOP = (signal.SIGINT, signal.SIGTERM)
_POLL = 0.1  # seconds
WELCOME = """\
Gateway listening; what is pushed to it is at {url}/metrics
It is in memory, for laptops and tests: when it stops, it forgets everything.
Press Ctrl-C to stop it."""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its options."""
    parser = verbs.add_parser(
        "gateway",
        help="run a small gateway in memory, for laptops and tests",
        description="Run a Pushgateway that keeps what is pushed to it in memory, for laptops and tests.",
    )
    parser.add_argument(
        "--listen",
        metavar="ADDR",
        default="127.0.0.1:9091",
        help="HOST:PORT to listen on (default: %(default)s); port 0 takes any free port",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM; return 0, 1 where the address cannot be listened on, 2 where it is none."""
    try:
        gateway = Gateway(arguments.listen)
    except ValueError as error:
        print(f"gangplank gateway: {error}", file=sys.stderr)
        return 2
    stopped: list[int] = []
    before = {number: signal.signal(number, lambda number, _: stopped.append(number)) for number in STOP}
    try:
        with gateway:
            print(WELCOME.format(url=gateway.url), flush=True)
            while not stopped:
                time.sleep(_POLL)  # Windows cannot wait for a signal
    except OSError as error:
        print(f"gangplank gateway: cannot listen on {arguments.listen!r}: {error.strerror}", file=sys.stderr)
        return 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0
