"""The gateway as a server: an address, a listening thread, and a thread for each connection."""

from __future__ import annotations

import logging
import os
import re
import socket
import socketserver
import sys
import threading
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Self

from gangplank.testing.gateway.handler import Handler
from gangplank.testing.gateway.store import Store

LISTEN = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^\[\]:\s]+)):([0-9]{1,5})")
POLL = 0.05  # seconds; how long stop() may take
JOIN = 5.0  # seconds; a connection's thread ends as soon as its socket is shut

logger = logging.getLogger("gangplank")


class Gateway:
    """An embedded Pushgateway, which runs from `start()` to `stop()`, or in a `with` block.

    Args:
        listen: HOST:PORT, an IPv6 host in brackets; with port 0, `address` has the port that was free.

    Raises:
        ValueError: the address is malformed. If it cannot be listened on, `start()` raises an OSError.
    """

    def __init__(self, listen: str = "127.0.0.1:0") -> None:
        """Check the address; nothing is opened yet."""
        parts = LISTEN.fullmatch(listen)
        if not parts or int(parts[3]) > 65535:  # noqa: PLR2004 (the last TCP port)
            raise ValueError(f"cannot listen on {listen!r}: write HOST:PORT, as in 127.0.0.1:9091 or [::1]:9091")
        self._at = (parts[1] or parts[2], int(parts[3]))
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None
        self._store = Store()

    def start(self) -> Self:
        """Open the port, and answer; there are no groups yet."""
        if self._listener:
            raise RuntimeError("this gateway is running")
        self._store = Store()
        self._listener = Listener(self._at, self._store)
        self._at = self._listener.socket.getsockname()[:2]
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(POLL,), name="gangplank-gateway", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close the port and all connections, and end the threads; does nothing if it is not running."""
        listener, thread = self._listener, self._thread
        if listener and thread:
            listener.shutdown()
            thread.join()
            listener.server_close()
            listener.hang_up()
        self._listener = self._thread = None

    @property
    def address(self) -> str:
        """The address that it listens on, as HOST:PORT."""
        host, port = self._at
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def url(self) -> str:
        """The root URL."""
        return f"http://{self.address}"

    def metrics(self) -> str:
        """Return the text that `/metrics` answers with."""
        return self._store.page()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()


class Listener(socketserver.ThreadingTCPServer):
    """The listening socket and the open connections. Not an HTTPServer, which looks up the name of its host."""

    allow_reuse_address = os.name == "posix"  # on Windows, two could listen on one port
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, at: tuple[str, int], store: Store) -> None:
        """Listen."""
        self.address_family = socket.AF_INET6 if ":" in at[0] else socket.AF_INET
        self._open: dict[socket.socket, threading.Thread] = {}
        super().__init__(at, partial(Handler, store))

    def process_request(self, request: Any, client_address: object) -> None:
        """Answer one connection on a thread of its own."""
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self._open[request] = thread
        try:
            thread.start()
        except RuntimeError:  # the interpreter shuts down, and starts no thread any more
            self.process_request_thread(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close one connection."""
        super().shutdown_request(request)
        self._open.pop(request, None)

    def hang_up(self) -> None:
        """Close the open connections; their clients see that the gateway is gone."""
        for connection, thread in list(self._open.items()):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(JOIN)

    def handle_error(self, request: Any, client_address: object) -> None:  # noqa: ARG002 (the base class passes it)
        """Log an error of the gateway; a client that disconnects is not one."""
        error = sys.exception()
        if not isinstance(error, OSError):
            logger.error("the embedded gateway failed to answer %s", client_address, exc_info=error)
