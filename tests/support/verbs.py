"""Running the verbs that read and clean a gateway, on both gateways and on servers that misbehave."""

from __future__ import annotations

import argparse
import http.client
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gangplank import GangplankError
from gangplank.cli import delete, prune, show
from gangplank.cli.remote.gateway import GatewayClient
from gangplank.core.sinks.pushgateway import path_of
from gangplank.core.types import Group
from gangplank.testing.gateway import Gateway

BUILD_INFO = 'pushgateway_build_info{version="1"} 1\n'


@contextmanager
def either(request: pytest.FixtureRequest) -> Iterator[str]:
    """Lend the address of the gateway that a fixture's parameter says: `embedded` or `real`."""
    if request.param == "embedded":
        with Gateway() as gateway:
            yield gateway.address
    else:
        yield request.getfixturevalue("gateway").address


def gangplank(*arguments: str) -> int:
    """Run a verb; return the exit code."""
    parser = argparse.ArgumentParser(prog="gangplank")
    verbs = parser.add_subparsers()
    for verb in (show, delete, prune):
        verb.add(verbs)
    try:
        chosen = parser.parse_args(arguments)
        code: int = chosen.run(chosen)
    except GangplankError as error:
        sys.stderr.write(f"gangplank: {error}\n")
        return 1
    except SystemExit as error:
        return int(error.code or 0)
    return code


def put(address: str, body: str | bytes, /, *, accepted: bool = True, **key: str) -> None:
    """Push a page to a group."""
    put_at(address, path_of(Group(tuple(key.items()))), body, accepted=accepted)


def put_at(address: str, path: str, body: str | bytes, *, accepted: bool = True) -> None:
    """Push a page to a path."""
    with closing(http.client.HTTPConnection(address, timeout=10)) as connection:
        connection.request("PUT", path, body if isinstance(body, bytes) else body.encode())
        answer = connection.getresponse()
        assert (answer.status == 200) == accepted, answer.read()


def run_page(state: str = "running", *, beat: float = 0, **values: float) -> str:
    """Return some of what gangplank says of a run; `beat`: how old the heartbeat is."""
    lines = [
        "# TYPE gangplank_run_state gauge",
        *(f'gangplank_run_state{{state="{s}"}} {int(s == state)}' for s in ("running", "finished", "failed")),
        "# TYPE gangplank_run_heartbeat_timestamp_seconds gauge",
        f"gangplank_run_heartbeat_timestamp_seconds {time.time() - beat}",
        *(f"# TYPE gangplank_{name} gauge\ngangplank_{name} {value}" for name, value in values.items()),
    ]
    return "\n".join((*lines, ""))


def keys(address: str) -> list[str]:
    """Return the keys of the groups that a gateway holds, as the verbs write them."""
    return [str(group) for group in GatewayClient(address).groups()[0]]


@contextmanager
def served(
    answer: Callable[[str, str], tuple[int, Mapping[str, str], str]], *, takes_pushes: bool = False
) -> Iterator[tuple[str, list[str]]]:
    """Run a server that answers as a function of method and path; yields its address, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append(f"{self.command} {self.path} {self.headers.get('Authorization', '')}".rstrip())
            status, headers, body = answer(self.command, self.path)
            self.send_response_only(status)
            for name, value in {"Content-Length": str(len(body.encode())), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        do_DELETE = do_GET  # noqa: N815  its name

        def log_message(self, *arguments: object) -> None:
            pass

    if takes_pushes:
        Handler.do_PUT = Handler.do_GET  # type: ignore[attr-defined]
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


class Terminal:
    """Somebody at a terminal who answers; `before` happens while they think."""

    def __init__(self, answer: str, before: Callable[[], None] = lambda: None) -> None:
        self._answer = answer
        self._before = before

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        self._before()
        return self._answer
