"""An HTTP endpoint in this process, where Prometheus scrapes a registry."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import socketserver
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.multiprocess import MultiProcessCollector

from gangplank.core.errors import ConfigurationError, kind_of
from gangplank.core.lifecycle import after_fork
from gangplank.core.log import logger
from gangplank.predict.families import MULTIPROCESS

_MOST = 65_535
# Seconds: how often the thread looks whether it is to stop, how long stopping takes at most, and how long a client may
# be silent.
_POLL, _JOIN, _SILENCE = 0.1, 5.0, 10.0


class Endpoint:
    """Serves a registry until the last of its users closes it, or the process ends.

    Attributes:
        port: that it listens on; None when it does not any more.
    """

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        self.registry = registry
        self._users: weakref.WeakSet[object] = weakref.WeakSet()
        self._server = _listen(host, port, _app(registry))
        self.port: int | None = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL,), name="gangplank-endpoint", daemon=True
        )
        self._thread.start()
        level = logging.INFO if port else logging.WARNING  # the user does not know this port yet
        shown = f"[{host}]" if ":" in host else host
        logger.log(level, "Prometheus can scrape http://%s:%s/metrics", shown, self.port)

    def join(self, user: object) -> None:
        """Note another user."""
        self._users.add(user)

    def close(self, user: object) -> None:
        """Stop listening, unless somebody else uses it too."""
        with _lock:
            self._users.discard(user)
            if self._users or self not in _endpoints.values():
                return
            for at in [at for at, endpoint in _endpoints.items() if endpoint is self]:
                del _endpoints[at]
            self.port = None
            self._server.shutdown()
            self._server.server_close()  # before another thread, which wants the port, looks
        self._thread.join(_JOIN)

    def leave(self) -> None:
        """In a forked child, leave the port to the parent, which has the thread that serves it."""
        self.port = None
        self._server.socket.close()


_lock = threading.RLock()
_endpoints: dict[tuple[str, int], Endpoint] = {}


def open_endpoint(registry: CollectorRegistry, host: str, port: int, user: object) -> Endpoint:
    """Return an endpoint that serves a registry; models of one registry share one.

    Raises:
        ConfigurationError: the port is not valid, or it cannot listen there.
    """
    with _lock:
        endpoint = _endpoints.get((host, port)) if port else None
        if endpoint is None or endpoint.registry is not registry:
            endpoint = Endpoint(registry, host, port)
            _endpoints[host, endpoint.port or port] = endpoint
        endpoint.join(user)
        return endpoint


def check_address(host: Any, port: Any) -> None:
    """Raise ConfigurationError if this is not an address to listen on."""
    if not isinstance(host, str):
        raise ConfigurationError(f"host is {kind_of(host)}: give an address of this machine, such as 127.0.0.1")
    if isinstance(port, bool) or not isinstance(port, int):
        raise ConfigurationError(
            f"port={port!r} is {kind_of(port)}: give a number from 0 to {_MOST}; 0 is any free port"
        )
    if not 0 <= port <= _MOST:
        raise ConfigurationError(f"port={port}: a port is from 0 to {_MOST}; 0 is any free port")


def _app(registry: CollectorRegistry) -> Callable[..., Iterable[bytes]]:
    if not MULTIPROCESS:
        app: Callable[..., Iterable[bytes]] = make_wsgi_app(registry)
        return app

    def of_all_processes(environ: Any, start_response: Any) -> Iterable[bytes]:
        merged = CollectorRegistry()
        MultiProcessCollector(merged)  # type: ignore[no-untyped-call]
        shown: Iterable[bytes] = make_wsgi_app(merged)(environ, start_response)
        return shown

    return of_all_processes


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    allow_reuse_address = os.name == "posix"  # Windows would share the port with another process

    def server_bind(self) -> None:
        """Bind, without looking up the name of this machine, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client has gone away."""


class _Handler(WSGIRequestHandler):
    timeout = _SILENCE

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the library's name
        """Say nothing of each scrape."""


def _listen(host: str, port: int, app: Callable[..., Iterable[bytes]]) -> _Server:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        kind = type("_Server", (_Server,), {"address_family": family})
        server: _Server = kind(address[:2], _Handler)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"port={port} is in use: give another one, or 0 for any free port. Where several workers serve a "
                "model, give none, and serve the metrics as a route of your application (docs/predict.md)"
            ) from error
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    except UnicodeError as error:
        raise ConfigurationError(f"cannot listen on {host}:{port}: it is not a host name") from error
    server.set_app(app)
    return server


def _forked() -> None:
    global _lock  # noqa: PLW0603  a thread of the parent may hold it forever
    _lock = threading.RLock()
    for endpoint in _endpoints.values():
        with contextlib.suppress(OSError):
            endpoint.leave()
    _endpoints.clear()


after_fork(_forked)
