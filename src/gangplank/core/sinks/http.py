"""One HTTP request within one deadline; no redirect is followed and no proxy is used."""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from types import MappingProxyType

from gangplank.core.log import one_line
from gangplank.core.sinks.address import Address
from gangplank.core.sinks.connection import Connection
from gangplank.core.sinks.credentials import Access
from gangplank.core.sinks.hidden import Authorization

# Bytes of a body in which a message is looked for, which may list a histogram; of most responses, no more are read.
BEGINNING = 16_384
LONGEST_MESSAGE = 200
_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Response:
    """A response to a request.

    Attributes:
        status: the status.
        headers: the headers.
        body: what was read of the body.
        complete: whether that is all of the body.
        authorization: what the request carried, and the body may repeat.
    """

    status: int
    headers: Message | Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    complete: bool
    authorization: Authorization = field(repr=False)

    @property
    def accepted(self) -> bool:
        """Whether it is what a Pushgateway answers to a push or a deletion: a 2xx with an empty body, not a page."""
        is_page = self.body.strip() or "html" in self.headers.get("Content-Type", "").lower()
        return _is_success(self.status) and not is_page

    def describe(self, why: str = "") -> str:
        """Return what was answered, as one line without secrets, for a message: `answered 400, since why: reason`."""
        more = len(self.body) > BEGINNING or not self.complete
        text = self.body[:BEGINNING].decode(errors="replace")
        message = one_line(self.authorization.strike(text, cut=more), LONGEST_MESSAGE)
        page = (
            " with a page of its own (is a proxy or a login page in front of it?)" if _is_success(self.status) else ""
        )
        since = f", since {why}" if why else ""
        return f"answered {self.status}{page}{since}{': ' if message else ''}{message}"


def request(
    method: str,
    address: Address,
    path: str,
    *,
    access: Access,
    timeout: float,
    body: bytes = b"",
    headers: Mapping[str, str] = MappingProxyType({}),
    limit: int = BEGINNING,
) -> Response:
    """Send a request and return the response. What this raises shows nothing of the credentials.

    Args:
        method: the HTTP method.
        address: where to connect; its prefix goes in front of `path`.
        path: already escaped.
        access: the credentials and certificates.
        timeout: seconds for everything, the response's body included.
        body: sent as it is.
        headers: in addition to those that HTTP requires, and to `Authorization`.
        limit: bytes of the response's body that are read at most.

    Raises:
        DeliveryError: the credentials cannot be used.
        TimeoutError: the deadline passed.
        http.client.RemoteDisconnected: the server closed the connection after the request, without a response.
        OSError: the connection failed or broke, or its certificate is not trusted.
        http.client.HTTPException: the response is not valid HTTP, or it ends within its body although it is a 2xx.
    """
    authorization = access.authorization()
    connection = Connection(address, time.monotonic() + timeout, access.tls if address.scheme == "https" else None)
    outcome = _exchange(connection, (method, address.prefix + path, body), headers, authorization, limit)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _exchange(
    connection: Connection,
    asked: tuple[str, str, bytes],
    headers: Mapping[str, str],
    authorization: Authorization,
    limit: int,
) -> Response | BaseException:
    """Return the response or what was raised: this function and those it calls have the credentials as variables."""
    try:
        given = authorization.header.reveal()
        connection.request(*asked, headers=dict(headers) if given is None else {**headers, "Authorization": given})
        response = connection.getresponse()
        if connection.wire is not None and connection.wire.ended:
            return http.client.HTTPException("the response ends within its headers")
        success = _is_success(response.status)
        content, complete, broken = _read(response, limit if success else min(limit, BEGINNING))
        if success and broken:
            return http.client.HTTPException("the response ends within its body")
        answered = Response(response.status, response.headers, content, complete, authorization)
    except BaseException as error:  # noqa: BLE001  it is raised by the caller
        return _bare(error, authorization)
    else:
        return answered
    finally:
        if connection.wire is not None:
            connection.wire.hang_up()


def _bare(error: BaseException, authorization: Authorization) -> BaseException:
    """Return an exception that may be shown: without the variables of those who raised it, and without secrets."""
    if isinstance(error, Exception) and not isinstance(error, OSError):  # it quotes the peer
        return http.client.HTTPException(authorization.strike(str(error)) or type(error).__name__)
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _read(response: http.client.HTTPResponse, limit: int) -> tuple[bytes, bool, bool]:
    """Return up to so many bytes of a body, whether that is all, and whether the connection ended before the body."""
    body, chunk = bytearray(), b" "
    try:
        while chunk and len(body) <= limit:
            chunk = response.read(min(_CHUNK, limit + 1 - len(body)))
            body += chunk
    except http.client.IncompleteRead as error:
        body += error.partial
        broken = True
    else:
        broken = not chunk and bool(response.length)
    return bytes(body[:limit]), not broken and len(body) <= limit, broken


def _is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def unix_time(date: str) -> float | None:
    """Return the Unix time in seconds of a header that has a date, None if it has none."""
    with contextlib.suppress(ValueError, OverflowError, LookupError, TypeError):  # a date that no calendar has
        if (parsed := email.utils.parsedate_tz(date)) is not None:
            return float(email.utils.mktime_tz(parsed))
    return None
