"""An endpoint in this process, which Prometheus scrapes: `scrape://127.0.0.1:9464`."""

from __future__ import annotations

import http.server
import logging
import os
import socket
import socketserver
import threading
import weakref
from typing import Any

from prometheus_client import generate_latest

from gangplank.core import process
from gangplank.core.address import host_and_port
from gangplank.core.errors import DeliveryError
from gangplank.core.exposition import CONTENT_TYPE
from gangplank.core.page import Page
from gangplank.core.report import log
from gangplank.core.sinks.together import Together

LIKE = "scrape://127.0.0.1:9464, or port 0 for any free one"


class Scrape:
    """A sink that shows its pages to whoever asks over HTTP, until the process ends or it is closed.

    It opens its port with the first page. Exporters of one process with the same address show their pages together,
    until the last of them is closed.

    Args:
        address: `scrape://host:port`, the host being this machine's; port 0 takes a free one, which its text has.

    Raises:
        ConfigurationError: it is no such address.
    """

    def __init__(self, address: str) -> None:
        self._at = host_and_port(address, LIKE)

    def __str__(self) -> str:
        """The address, with the port that it listens on."""
        host, port = self._at
        endpoint = _endpoints.get(self._at)
        return f"scrape://{_in_url(host)}:{endpoint.port if endpoint else port}"

    def send(self, page: Page, timeout: float) -> None:  # noqa: ARG002  nobody is waited for
        """Show the page in place of its group's before; see `Sink.send`."""
        try:
            _endpoints.setdefault(self._at, _Endpoint(*self._at)).show(page, self)
        except (OSError, RuntimeError) as error:  # a runtime error: no thread starts any more, the process ends
            why = getattr(error, "strerror", None) or error
            raise DeliveryError(f"{self} cannot be listened on: {why}", "unreachable") from error

    def close(self) -> None:
        """Stop listening, unless another exporter's pages are shown there as well."""
        if endpoint := _endpoints.get(self._at):
            endpoint.leave(self)


class _Endpoint:
    """What listens at one address of this process; `port` is the one that it has, or is to have."""

    def __init__(self, host: str, port: int) -> None:
        self._at = host, port
        self._lock = threading.Lock()
        self._users: weakref.WeakSet[Scrape] = weakref.WeakSet()
        self._renew()

    def _renew(self) -> None:
        self.port = self._at[1]
        self.server: _Server | None = None
        self._pages = Together()

    def show(self, page: Page, user: Scrape) -> None:
        with self._lock:
            self._users.add(user)
            self._pages.put(page)
            if self.server:
                return
            server = _Server(self._at, self._pages)
            threading.Thread(target=server.serve_forever, name="gangplank-scrape", daemon=True).start()
            self.server, self.port = server, server.server_address[1]
        host, port = self._at
        level = logging.INFO if port else logging.WARNING  # a port that nobody chose is news
        log.log(level, "Prometheus can scrape http://%s:%s/metrics", _in_url(host), self.port)

    def leave(self, user: Scrape) -> None:
        with self._lock:
            self._users.discard(user)
            if self.server is not None and not self._users:
                self.server.shutdown()
                self.server.server_close()
                self._renew()


class _Server(http.server.ThreadingHTTPServer):
    """Answers each client on a thread of its own; what becomes of a client is no news to a training."""

    allow_reuse_port = False  # newer Pythons would share it with another process, unasked
    allow_reuse_address = os.name == "posix"  # Windows would share it as well
    request_queue_size = 128  # of five, the next client waits a second

    def __init__(self, at: tuple[str, int], pages: Together) -> None:
        self.pages = pages
        self.address_family = socket.getaddrinfo(*at, type=socket.SOCK_STREAM)[0][0]
        super().__init__(at, _Handler)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer's would ask the network for this machine's name

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client has hung up."""


class _Handler(http.server.BaseHTTPRequestHandler):
    """Shows the pages at every path, in the one format that may have sums of negative numbers in a histogram."""

    server: _Server
    timeout = 10.0  # seconds that a client may be silent

    def do_GET(self) -> None:
        page = generate_latest(self.server.pages)
        self.send_response(http.HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _forked() -> None:
    """Leave the ports to the parent: the threads that answered are its."""
    for endpoint in _endpoints.values():
        if endpoint.server is not None:
            endpoint.server.server_close()
    _endpoints.clear()


_endpoints: dict[tuple[str, int], _Endpoint] = {}
process.after_fork(_forked)
