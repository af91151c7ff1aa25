"""A connection to a server within one deadline: connecting, handshake, request and response.

Only the lookup of a host name has no deadline: it cannot be interrupted. The timeouts of the standard library, and so
those of prometheus_client, are per socket operation: a peer that sends a byte now and then can delay them forever.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401  looking up a name imports it; a fork during that would leave it incomplete
import http.client
import io
import socket
import ssl
import time
from typing import Any

from gangplank.core.sinks.address import Address


class _ClosableResponse(http.client.HTTPResponse):
    """A response that can be closed although making it failed: Python 3.13 prints an error otherwise."""

    fp = None  # type: ignore[assignment]


class Connection(http.client.HTTPConnection):
    """A connection; each of its steps may take the time that is left until the deadline.

    Args:
        address: where to connect.
        deadline: on the monotonic clock.
        tls: the TLS context, None for no TLS.

    Attributes:
        wire: what it sends and receives through, once it is connected.
    """

    response_class = _ClosableResponse

    def __init__(self, address: Address, deadline: float, tls: ssl.SSLContext | None) -> None:
        super().__init__(address.host, address.port)
        self.default_port = 443 if tls else 80
        self._tls = tls
        self._deadline = deadline
        self.wire: _DeadlineSocket | None = None

    def connect(self) -> None:
        """Connect, and shake hands."""
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
    """The part of a socket that http.client uses, with one deadline for all operations."""

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
        """Do nothing yet: http.client closes before it has read a response that ends with the connection."""

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
    """Connect to the first of a name's addresses that accepts; each gets its share of the time."""
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
