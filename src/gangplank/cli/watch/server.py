"""Serves the page to browsers on this machine: it is read only, and bounded in connections and time."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import socketserver
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from gangplank.cli.watch import page
from gangplank.cli.watch.watcher import Watcher
from gangplank.core.errors import ConfigurationError
from gangplank.core.sinks.address import host_and_port

_LIKE = "127.0.0.1:8088"
# Connections at a time; the seconds that each may take in all.
_MOST, _DEADLINE = 16, 10.0
_MOST_FIELDS = 100  # of a query
_LOCALHOST = "localhost"
_POLL = 0.05
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def listening_address(text: str) -> tuple[str, int]:
    """Return the host and the port of an address of this machine only.

    Raises:
        ConfigurationError: it is not an address, or other machines can reach it.
    """
    host, port = host_and_port(f"http://{text}", _LIKE)
    if not _is_loopback(host):
        raise ConfigurationError(
            f"{text!r} can be reached from other machines: write {_LIKE}, and look at it from another machine through "
            "`ssh -L 8088:127.0.0.1:8088 HOST`"
        )
    return ("127.0.0.1" if host == _LOCALHOST else host), port


class PageServer(socketserver.ThreadingTCPServer):
    """Listens at once, and answers within a `with` block. Not an HTTPServer, which looks up the name of its host.

    Args:
        at: the host and the port of `listening_address`; port 0 takes any free port.
        watcher: what is shown.

    Attributes:
        url: of the page.

    Raises:
        OSError: it cannot listen there.
    """

    allow_reuse_address = os.name == "posix"  # on Windows, two could listen on one port
    daemon_threads = True
    block_on_close = False
    request_queue_size = _MOST

    def __init__(self, at: tuple[str, int], watcher: Watcher) -> None:
        self.address_family = socket.AF_INET6 if ":" in at[0] else socket.AF_INET
        self.watcher = watcher
        self._free = threading.BoundedSemaphore(_MOST)
        super().__init__(at, _Handler)
        host, port = self.socket.getsockname()[:2]
        self.url = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(_POLL,), name="gangplank-page", daemon=True).start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a thread of its own, unless too many connections are open."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and hang up at the deadline, however slowly the client sends or reads."""
        end = threading.Timer(_DEADLINE, _hang_up, (request,))
        end.daemon = True
        end.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD; HTTP/1.0, so one request for each connection."""

    server: PageServer
    timeout = _DEADLINE
    server_version, sys_version = "gangplank", ""

    def do_GET(self) -> None:
        """Answer with a page."""
        status, text = self._answer()
        body = text.encode(errors="replace")
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  its name

    def end_headers(self) -> None:
        """Add the headers that every answer has, errors too."""
        self.send_header("Content-Security-Policy", page.policy())
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""

    def _answer(self) -> tuple[HTTPStatus, str]:
        # A page of another site may have its name resolve to 127.0.0.1, and then read what is here.
        if not _is_loopback(_host(self.headers.get("Host", ""))):
            return HTTPStatus.MISDIRECTED_REQUEST, page.message(
                "This page is for browsers on this machine", "Open it by 127.0.0.1 or localhost."
            )
        try:
            asked = urlsplit(self.path)
            given = dict(parse_qsl(asked.query, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
        except ValueError:
            return HTTPStatus.BAD_REQUEST, page.message("The address of the page is not valid", "")
        watcher = self.server.watcher
        paused = given.pop("paused", "") == "1"
        if asked.path == "/":
            return HTTPStatus.OK, page.overview(watcher, watcher.view, given.get("job", ""), paused=paused)
        if asked.path == "/run":
            return page.run(watcher, watcher.view, given, paused=paused)
        return HTTPStatus.NOT_FOUND, page.message("There is no such page", "")


def _host(header: str) -> str:
    """Return the host of a Host header, in lower case, without the port: a port may be forwarded."""
    with contextlib.suppress(ValueError):
        return urlsplit(f"//{header}").hostname or ""
    return ""


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == _LOCALHOST


def _hang_up(request: socket.socket) -> None:
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)
