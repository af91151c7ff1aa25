"""A small TCP proxy in front of a gateway, which does to a connection what networks do: drips, silence, resets, delays.

How it behaves may change at any time, and holds for the connections from then on.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

#: What is done with one connection; ends when it returns, and is told when the proxy stops.
Behaviour = Callable[[socket.socket, "Proxy"], None]

_RESET = struct.pack("ii", 1, 0)  # linger for no time: close sends RST


class Proxy:
    """A listening proxy.

    Attributes:
        behaviour: what is done with each new connection.
        target: the port of 127.0.0.1 that it stands in front of.
        accepted: when each connection came, on the monotonic clock.
        stopping: set when the proxy stops.
    """

    def __init__(self, target: int, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.target = target
        self.accepted: list[float] = []
        self.stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, name="proxy")]
        self._threads[0].start()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def address(self) -> str:
        """`host:port`, as a user would write it."""
        return f"127.0.0.1:{self.port}"

    def upstream(self) -> socket.socket:
        """Return a new connection to the target."""
        there = socket.create_connection(("127.0.0.1", self.target), timeout=20)
        self._open.add(there)
        return there

    def stop(self) -> None:
        """Close everything and wait for the threads."""
        self.stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in list(self._open):
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def spawn(self, target: Callable[[], object]) -> threading.Thread:
        """Do something on a thread of the proxy's."""
        thread = threading.Thread(target=target, name="proxy")
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while not self.stopping.is_set():
                peer, _ = self._listener.accept()
                self.accepted.append(time.monotonic())
                self._open.add(peer)
                self.spawn(functools.partial(self._talk, peer, self.behaviour))

    def _talk(self, peer: socket.socket, behaviour: Behaviour) -> None:
        with peer, contextlib.suppress(OSError):
            behaviour(peer, self)


@contextlib.contextmanager
def proxying(target: int, behaviour: Behaviour) -> Iterator[Proxy]:
    """Run a proxy until the block ends."""
    proxy = Proxy(target, behaviour)
    try:
        yield proxy
    finally:
        proxy.stop()


def passes(peer: socket.socket, proxy: Proxy) -> None:
    """Be a good proxy."""
    _relay(peer, proxy)


def drips(peer: socket.socket, proxy: Proxy) -> None:
    """Hand the answer on by the byte, now and then."""
    _relay(peer, proxy, piece=1, pause=0.05)


def is_silent(peer: socket.socket, proxy: Proxy) -> None:
    """Accept, take everything and never answer: half open."""
    while peer.recv(65536):
        pass


def holds(requests: list[bytes]) -> Behaviour:
    """Return what takes a request and does nothing with it, for the test to send it later."""

    def behaviour(peer: socket.socket, proxy: Proxy) -> None:
        requests.append(read_request(peer))
        is_silent(peer, proxy)

    return behaviour


def resets_the_request(peer: socket.socket, proxy: Proxy) -> None:
    """Break the connection in the middle of the body that comes."""
    peer.recv(16)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def resets_the_answer(peer: socket.socket, proxy: Proxy) -> None:
    """Break the connection in the middle of the status line that goes back: the gateway has the page."""
    with proxy.upstream() as there:
        there.sendall(read_request(peer))
        peer.sendall(there.recv(65536)[:8])
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def is_slow(seconds: float) -> Behaviour:
    """Return what hands the answer on only after so many seconds."""

    def behaviour(peer: socket.socket, proxy: Proxy) -> None:
        _relay(peer, proxy, delay=seconds)

    return behaviour


def answers(status: str, body: str = "", *headers: str) -> Behaviour:
    """Return what answers in the gateway's stead."""

    def behaviour(peer: socket.socket, proxy: Proxy) -> None:
        read_request(peer)
        content = body.encode()
        head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *headers])
        peer.sendall(f"{head}\r\n\r\n".encode() + content)

    return behaviour


def hangs_up(version: str, answer: bytes = b"") -> Behaviour:
    """Return what hangs up on a push, all of it read and so much answered, and then says that it is of this version."""
    status = answers("200 OK", f'{{"status":"success","data":{{"build_information":{{"version":"{version}"}}}}}}')

    def behaviour(peer: socket.socket, proxy: Proxy) -> None:
        if peer.recv(4, socket.MSG_PEEK) == b"GET ":
            status(peer, proxy)
        else:
            read_request(peer)
            peer.sendall(answer)

    return behaviour


def records(requests: list[bytes]) -> Behaviour:
    """Return what is a good proxy and notes down the requests, head and body."""

    def behaviour(peer: socket.socket, proxy: Proxy) -> None:
        request = read_request(peer)
        requests.append(request)
        with proxy.upstream() as there:
            there.sendall(request)
            _pump(there, peer)

    return behaviour


def read_request(peer: socket.socket) -> bytes:
    """Return one HTTP request with a Content-Length, whole."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _some(peer)
    head = received.partition(b"\r\n\r\n")[0]
    lengths = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    whole = len(head) + 4 + (lengths[0] if lengths else 0)
    while len(received) < whole:
        received += _some(peer)
    return received


def _some(peer: socket.socket) -> bytes:
    received = peer.recv(65536)
    if not received:
        raise ConnectionError("the client is gone")
    return received


def _relay(peer: socket.socket, proxy: Proxy, *, piece: int = 65536, pause: float = 0.0, delay: float = 0.0) -> None:
    """Hand bytes on in both directions; those that go back by the piece, with pauses, and after a delay."""
    with proxy.upstream() as there:
        upwards = proxy.spawn(lambda: _pump(peer, there))
        first = there.recv(piece)
        proxy.stopping.wait(delay)
        peer.sendall(first)
        while not proxy.stopping.wait(pause) and (received := there.recv(piece)):
            peer.sendall(received)
        for end in (peer, there):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        upwards.join(10)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while received := source.recv(65536):
            target.sendall(received)
        target.shutdown(socket.SHUT_WR)
