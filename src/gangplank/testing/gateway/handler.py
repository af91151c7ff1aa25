"""One request, one answer: what the server does with each path and method."""

from __future__ import annotations

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

from gangplank.core.exposition import CONTENT_TYPE
from gangplank.testing.gateway.body import BodyError, read_body, unpacked
from gangplank.testing.gateway.exposition import MalformedError, parse
from gangplank.testing.gateway.grouping import BadAddressError, cleaned, decoded, grouping_key, is_group, quoted
from gangplank.testing.gateway.store import InconsistentError

if TYPE_CHECKING:
    from gangplank.testing.gateway.server import Listener

PLAIN = "text/plain; charset=utf-8"
PROTOBUF = "application/vnd.google.protobuf"
WELCOME = """\
This is gangplank's embedded gateway: a Prometheus Pushgateway for laptops and tests.
It keeps what is pushed to it in memory, until it stops.

/metrics                                    what Prometheus scrapes (GET)
/metrics/job/<job>/<label>/<value>...       a group (PUT, POST, DELETE)
/-/ready, /-/healthy                        whether it works
"""


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection, which stays open for more."""

    server: Listener
    protocol_version = "HTTP/1.1"
    server_version = "gangplank"
    sys_version = ""
    default_request_version = "HTTP/1.1"  # an answer to a broken request line has a status too
    disable_nagle_algorithm = True  # head and body are two writes: no waiting for the client's delayed acknowledgement

    def _serve(self) -> None:
        try:
            body = read_body(self.headers, self.rfile)
            # The path as it was sent: BaseHTTPRequestHandler.path has lost a second slash at its start.
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
        store = self.server.store
        if self.command == "DELETE":
            store.delete(key)
            self._answer(HTTPStatus.ACCEPTED)
        elif self.headers.get_content_type() == PROTOBUF and self.headers.get_param("encoding") == "delimited":
            self._answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "no protobuf here: push the text format\n")
        else:
            store.push(key, parse(body), replace=self.command == "PUT")
            self._answer(HTTPStatus.OK)

    def _page(self, path: str) -> None:
        if path not in ("/", "/metrics", "/-/ready", "/-/healthy"):
            self._answer(HTTPStatus.NOT_FOUND, "404 page not found\n")
        elif self.command != "GET":
            self._other_method("GET, OPTIONS")
        elif path == "/metrics":
            self._answer(HTTPStatus.OK, self.server.store.page(), {"Content-Type": CONTENT_TYPE})
        else:
            self._answer(HTTPStatus.OK, WELCOME if path == "/" else "OK")

    def _other_method(self, allowed: str) -> None:
        if self.command == "OPTIONS":
            self._answer(HTTPStatus.OK, headers={"Allow": allowed})
        else:
            self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "Method Not Allowed\n", {"Allow": allowed})

    def _answer(self, status: HTTPStatus, text: str = "", headers: dict[str, str] | None = None) -> None:
        body = text.encode("utf-8", "replace")
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
        """Answer what http.server itself refuses, in plain text too, and hang up."""
        self.close_connection = True
        self._answer(HTTPStatus(code), f"{message or HTTPStatus(code).phrase}\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's own name)
        """Say nothing: a gateway in a test or a notebook prints no line for each push."""
