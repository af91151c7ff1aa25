"""Serves one text over HTTP, to whoever asks: on one thread, with a few connections, each for a few seconds at most.

The servers of the standard library start a thread for each connection, and their timeouts are per socket operation: a
crowd of slow peers would take all descriptors and threads of a training.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gangplank.core.page.text import CONTENT_TYPE

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

# Connections at a time; others wait in the backlog of the listening socket.
_MOST = 32
_BACKLOG = 128
# Seconds for a connection, from its beginning to the end of the response: as long as Prometheus waits by default; and
# while others may be waiting.
_DEADLINE, _DEADLINE_IF_FULL = 10.0, 2.0
# Seconds after which deadlines are checked, and an `accept` that failed is repeated.
_TURN = 0.5
# Seconds that closing takes at most.
_JOIN = 5.0
# It rests so many times as long as it has worked: all who ask without pause get a fifth of a core.
_REST = 4.0
_LONGEST_REQUEST = 8_192
_REQUEST_LINE = re.compile(rb"([A-Z]+) \S+ HTTP/1\.[01]\r?\n")
_END = re.compile(rb"\r?\n\r?\n")


@dataclass(eq=False, slots=True)
class _Client:
    """A connection, and what it has received and still has to send."""

    socket: socket.socket
    since: float = field(default_factory=time.monotonic)
    request: bytes = b""
    response: bytes | memoryview = b""


class Server:
    """Listens until it is closed. Every path has the same text; each connection is closed after its response.

    Args:
        at: host and port; port 0 takes any free port.
        text: returns the text; called when somebody asks for the first time after `renew`.

    Attributes:
        port: that it listens on.

    Raises:
        OSError: it cannot listen there.
        RuntimeError: the process is exiting, no thread can start.
    """

    def __init__(self, at: tuple[str, int], text: Callable[[], bytes]) -> None:
        self._text = text
        self._version = 0  # of the text
        self._answered: tuple[int, bytes] = -1, b""  # the version of the newest response, and that response
        self._clients: set[_Client] = set()
        self._most = _MOST
        self._closing = False
        self._resources = contextlib.ExitStack()
        try:
            family = socket.getaddrinfo(*at, type=socket.SOCK_STREAM)[0][0]
            self._listener = self._resources.enter_context(socket.socket(family))
            if os.name == "posix":  # Windows would share the port with another process
                self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(at)
            self._listener.listen(_BACKLOG)
            self._listener.settimeout(0)
            self.port: int = self._listener.getsockname()[1]
            self._selector = self._resources.enter_context(selectors.DefaultSelector())
            self._thread = threading.Thread(target=self._run, name="gangplank-scrape", daemon=True)
            self._thread.start()
        except BaseException:
            self._resources.close()
            raise

    @property
    def serving(self) -> bool:
        """Whether it answers; not after a fault that has ended its thread."""
        return self._thread.is_alive()

    def renew(self) -> None:
        """Show a new text to all who ask from now on; one thread at a time may call this."""
        self._version += 1

    def close(self) -> None:
        """Stop listening, and close the connections."""
        self._closing = True
        if self._thread is not threading.current_thread():  # where a destructor may close it
            self._thread.join(_JOIN)

    def leave(self) -> None:
        """In a forked child, leave everything to the parent process."""
        # Nothing is unregistered: parent and child share what epoll has.
        for client in self._clients:
            client.socket.close()
        self._resources.close()

    def _run(self) -> None:
        try:
            while not self._closing:
                self._listen(len(self._clients) < max(self._most, 1))
                ready = self._selector.select(_TURN)
                began, accepted = time.thread_time(), True
                for key, _ in ready:
                    if key.data is None:
                        accepted = self._accept()
                    else:
                        self._serve(key.data)
                self._let_go_of_the_slow()
                time.sleep(min(_REST * (time.thread_time() - began), _TURN) if accepted else _TURN)
        finally:
            self.leave()

    def _listen(self, wanted: bool) -> None:  # noqa: FBT001
        """Accept connections from now on, or let them wait."""
        if wanted == (self._listener in self._selector.get_map()):
            return
        if wanted:
            self._selector.register(self._listener, selectors.EVENT_READ)
        else:
            self._selector.unregister(self._listener)

    def _accept(self) -> bool:
        """Accept a connection; return whether it was possible: there may be no descriptor left."""
        try:
            client = _Client(self._listener.accept()[0])
            client.socket.settimeout(0)
            self._selector.register(client.socket, selectors.EVENT_READ, client)
        except Exception:  # noqa: BLE001  whatever it is, it passes
            return False
        self._clients.add(client)
        # Half of the descriptors that are left stay the training's: a new one has the lowest number that is free.
        self._most = min(_MOST, (_most_descriptors() - client.socket.fileno()) // 2)
        return True

    def _serve(self, client: _Client) -> None:
        """Do what can be done for a client without waiting."""
        try:
            if not client.response:
                self._receive(client)
            if client.response:
                client.response = client.response[client.socket.send(client.response) :]
                if not client.response:
                    self._let_go(client)
        except BlockingIOError:
            pass
        except Exception:  # noqa: BLE001  it has hung up, for example
            self._let_go(client)

    def _receive(self, client: _Client) -> None:
        """Take a part of the request; when all of it is there, there is a response, too."""
        received = client.socket.recv(_LONGEST_REQUEST)
        client.request += received
        if not received or len(client.request) > _LONGEST_REQUEST:
            raise ConnectionError
        if _END.search(client.request):
            client.response = memoryview(self._answer(client.request))
            self._selector.modify(client.socket, selectors.EVENT_WRITE, client)

    def _answer(self, request: bytes) -> bytes:
        asked = _REQUEST_LINE.match(request)
        if asked is None:
            return _response("400 Bad Request")
        if asked[1] not in (b"GET", b"HEAD"):
            return _response("501 Not Implemented")
        version = self._version  # before the text is taken: it may be renewed meanwhile
        if version != self._answered[0]:
            self._answered = version, _response("200 OK", self._text())
        response = self._answered[1]
        return response if asked[1] == b"GET" else b"".join(response.partition(b"\r\n\r\n")[:2])

    def _let_go_of_the_slow(self) -> None:
        deadline = _DEADLINE if len(self._clients) < self._most else _DEADLINE_IF_FULL
        now = time.monotonic()
        for client in [client for client in self._clients if now - client.since > deadline]:
            self._let_go(client)

    def _let_go(self, client: _Client) -> None:
        self._clients.discard(client)
        self._selector.unregister(client.socket)
        client.socket.close()


def _most_descriptors() -> int:
    """Return how many descriptors this process may have."""
    limit: int = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if resource else -1
    return limit if limit >= 0 else sys.maxsize


def _response(status: str, text: bytes = b"") -> bytes:
    headers = f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n"
    return f"HTTP/1.1 {status}\r\n{headers}\r\n".encode() + text
