"""One HTTP request, all of it within one deadline: connection, handshake, request and answer.

Only the look-up of a name has none: there is no way to end it. The standard library's time-outs, and so
prometheus_client's, are per socket operation: a peer that sends a byte now and then holds them for ever. No redirect is
followed and no proxy is used.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401  the look-up of a name imports it: a fork at that moment would leave half of it
import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any

from gangplank.core.address import Address

# The part of an answer that is read; a reason is in its first line.
_MOST_ANSWER = 4_096


def request(
    method: str,
    address: Address,
    path: str,
    *,
    body: bytes,
    headers: Mapping[str, str],
    timeout: float,
    tls: ssl.SSLContext | None,
) -> tuple[int, str]:
    """Return the status of the answer and the beginning of its text.

    Args:
        method: of HTTP.
        address: where to connect; its prefix goes in front of `path`.
        path: escaped already.
        body: sent as it is.
        headers: beside those that HTTP itself needs.
        timeout: seconds for everything.
        tls: how to talk TLS, for an https address; None for http.

    Raises:
        TimeoutError: the deadline passed.
        http.client.RemoteDisconnected: the other side took the whole request and hung up without an answer.
        OSError: no connection, a broken one, or one whose certificate is not trusted.
        http.client.HTTPException: the answer is no HTTP.
    """
    connection = _Connection(address, time.monotonic() + timeout, tls)
    try:
        connection.request(method, address.prefix + path, body, dict(headers))
        answer = connection.getresponse()
        if connection.wire is not None and connection.wire.ended:
            raise http.client.HTTPException("the answer ends in its head")
        return answer.status, answer.read(_MOST_ANSWER).decode(errors="replace")
    finally:
        if connection.wire is not None:
            connection.wire.hang_up()


class _Response(http.client.HTTPResponse):
    """An answer that can be closed where making it has failed: Python 3.13 prints what goes wrong then."""

    fp = None  # type: ignore[assignment]


class _Connection(http.client.HTTPConnection):
    """A connection whose every step has what is left of the deadline."""

    response_class = _Response

    def __init__(self, address: Address, deadline: float, tls: ssl.SSLContext | None) -> None:
        super().__init__(address.host, address.port)
        self.default_port = 443 if tls else 80
        self._tls = tls
        self._deadline = deadline
        self.wire: _DeadlineSocket | None = None

    def connect(self) -> None:
        plain = _connect(self.host, self.port, self._deadline)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.settimeout(_remaining(self._deadline))
            wrapped = self._tls.wrap_socket(plain, server_hostname=self.host) if self._tls else plain
        except BaseException:
            plain.close()
            raise
        self.sock: Any = _DeadlineSocket(wrapped, self._deadline)
        self.wire = self.sock


class _DeadlineSocket:
    """As much of a socket as http.client uses, with one deadline for all of it."""

    def __init__(self, plain: socket.socket, deadline: float) -> None:
        self._socket = plain
        self._deadline = deadline
        self.ended = False  # the peer sends no more

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._socket.settimeout(_remaining(self._deadline))
            view = view[self._socket.send(view) :]

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def recv_into(self, buffer: Any) -> int:
        self._socket.settimeout(_remaining(self._deadline))
        received = self._socket.recv_into(buffer)
        self.ended = received == 0
        return received

    def close(self) -> None:
        """Nothing yet: http.client is done with it before it has read an answer that ends with the connection."""

    def hang_up(self) -> None:
        self._socket.close()


class _Reader(io.RawIOBase):
    def __init__(self, wire: _DeadlineSocket) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._wire.recv_into(buffer)


def _connect(host: str, port: int, deadline: float) -> socket.socket:
    """Connect to the first of a name's addresses that answers; each has its share of the time."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if time.monotonic() >= deadline:
        raise OSError(f"looking up {host} took too long")
    error: OSError = OSError(f"{host} has no address")
    for tried, (family, kind, protocol, _, where) in enumerate(addresses):
        share = _remaining(deadline) / (len(addresses) - tried)
        plain = socket.socket(family, kind, protocol)
        try:
            plain.settimeout(share)
            plain.connect(where)
        except OSError as failed:
            plain.close()
            error = failed
        else:
            return plain
    raise error


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("timed out")
    return remaining
