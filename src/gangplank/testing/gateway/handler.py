"""Answers a request, by its path and method."""

from __future__ import annotations

import io
import socket
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from gangplank.core.page.text import CONTENT_TYPE
from gangplank.testing.gateway.body import BodyError, read_body, unpacked
from gangplank.testing.gateway.exposition import MalformedError, parse
from gangplank.testing.gateway.grouping import BadAddressError, cleaned, decoded, grouping_key, is_group, quoted
from gangplank.testing.gateway.store import InconsistentError, Store

PLAIN = "text/plain; charset=utf-8"
PROTOBUF = "application/vnd.google.protobuf"
# Seconds that a connection stays open without a request, longer than a usual scrape interval; that a request may take
# from its first byte to its last; and that its answer may.
IDLE, REQUEST, ANSWER = 120.0, 60.0, 60.0
WELCOME = """\
This is gangplank's embedded gateway: a Prometheus Pushgateway for laptops and tests.
It keeps what is pushed to it in memory until it stops.

/metrics                                    what Prometheus scrapes (GET)
/metrics/job/<job>/<label>/<value>...       a group (PUT, POST, DELETE)
/-/ready, /-/healthy                        whether it works
"""


class Wire(io.RawIOBase):
    """What a client sends. Its requests have a deadline, however often a byte comes.

    Args:
        connection: with the client.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._deadline: float | None = None

    def await_request(self) -> None:
        """Wait for the next request; its time begins with its first byte."""
        self._deadline = None

    def readable(self) -> bool:
        """Return True, as a reader has to."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Receive some bytes; raise TimeoutError if they come too late."""
        remaining = IDLE if self._deadline is None else self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._connection.settimeout(remaining)
        received = self._connection.recv_into(buffer)
        if self._deadline is None:
            self._deadline = time.monotonic() + REQUEST
        return received


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection, which stays open for more.

    Args:
        store: the groups.
        request: what `http.server` gives a handler.
    """

    protocol_version = "HTTP/1.1"
    server_version = "gangplank"
    sys_version = ""
    default_request_version = "HTTP/1.1"  # an answer to a broken request line has a status too
    disable_nagle_algorithm = True  # head and body are two writes: no waiting for the client's delayed acknowledgement

    def __init__(self, store: Store, *request: Any) -> None:
        self._store = store
        super().__init__(*request)

    def setup(self) -> None:
        """Read what the client sends with deadlines."""
        super().setup()
        self.rfile.close()
        self._wire = Wire(self.connection)
        self.rfile = io.BufferedReader(self._wire)

    def handle_one_request(self) -> None:
        """Answer a request, or let the client go: http.server closes the connection after a TimeoutError."""
        self._wire.await_request()
        super().handle_one_request()

    def _serve(self) -> None:
        try:
            body = read_body(self.headers, self.rfile)
            # The path as it was sent: BaseHTTPRequestHandler.path lacks a second slash at its start.
            path = decoded(self.requestline.split()[1])
            if path != cleaned(path):
                self._answer(HTTPStatus.MOVED_PERMANENTLY, headers={"Location": quoted(cleaned(path))})
            elif is_group(path):
                self._group(path, body)
            else:
                self._page(path)
        except BodyError as error:
            self.close_connection = self.close_connection or error.broken
            self._answer(error.status, f"{error}\n")
        except (BadAddressError, MalformedError) as error:
            self._answer(HTTPStatus.BAD_REQUEST, f"{error}\n")
        except InconsistentError as error:
            reason = f"pushed metrics are invalid or inconsistent with existing metrics: {error}\n"
            self._answer(HTTPStatus.BAD_REQUEST, reason)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_OPTIONS = do_PATCH = _serve  # noqa: N815 (its names)

    def _group(self, path: str, body: bytes) -> None:
        if self.command not in ("PUT", "POST", "DELETE"):
            self._other_method("DELETE, OPTIONS, POST, PUT")
            return
        if self.headers.get("Content-Encoding", "").lower() == "gzip":
            body = unpacked(body)
        key = grouping_key(path)
        if self.command == "DELETE":
            self._store.delete(key)
            self._answer(HTTPStatus.ACCEPTED)
        elif self.headers.get_content_type() == PROTOBUF and self.headers.get_param("encoding") == "delimited":
            self._answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "protobuf is not supported: push the text format\n")
        else:
            self._store.push(key, parse(body), replace=self.command == "PUT")
            self._answer(HTTPStatus.OK)

    def _page(self, path: str) -> None:
        if path not in ("/", "/metrics", "/-/ready", "/-/healthy"):
            self._answer(HTTPStatus.NOT_FOUND, "404 page not found\n")
        elif self.command != "GET":
            self._other_method("GET, OPTIONS")
        elif path == "/metrics":
            self._answer(HTTPStatus.OK, self._store.page(), {"Content-Type": CONTENT_TYPE})
        else:
            self._answer(HTTPStatus.OK, WELCOME if path == "/" else "OK")

    def _other_method(self, allowed: str) -> None:
        if self.command == "OPTIONS":
            self._answer(HTTPStatus.OK, headers={"Allow": allowed})
        else:
            self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "Method Not Allowed\n", {"Allow": allowed})

    def _answer(self, status: HTTPStatus, text: str = "", headers: dict[str, str] | None = None) -> None:
        body = text.encode("utf-8", "replace")
        self.connection.settimeout(ANSWER)
        self.send_response(status)
        for name, value in ({"Content-Type": PLAIN, "Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(
        self,
        code: int,
        message: str | None = None,
        explain: str | None = None,  # noqa: ARG002 (the base class passes it)
    ) -> None:
        """Answer a request that http.server itself refuses, in plain text, and close the connection."""
        self.close_connection = True
        self._answer(HTTPStatus(code), f"{message or HTTPStatus(code).phrase}\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's own name)
        """Log nothing: a gateway in a test or a notebook must not print a line for each push."""
