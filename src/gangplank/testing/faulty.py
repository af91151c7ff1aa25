"""Gateways that are of no use, each in its own way; a training must not notice."""

from __future__ import annotations

import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from gangplank.testing.gateway import Gateway

# Lends the address, given the seconds after which nobody is to wait any more.
Faulty = Callable[[float], AbstractContextManager[str]]


@contextmanager
def refusing(_patience: float) -> Iterator[str]:
    """Nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield _address(bound)


@contextmanager
def hung(patience: float) -> Iterator[str]:
    """Connections are taken and nothing is ever answered, until they are all cut."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        end = threading.Timer(patience, listener.close)
        end.daemon = True
        end.start()
        try:
            yield _address(listener)
        finally:
            end.cancel()


@contextmanager
def rejecting(_patience: float) -> Iterator[str]:
    """Every page is answered with 400: someone else pushes a family of ours with another type."""
    with Gateway() as gateway:
        body = b"# TYPE gangplank_run_state counter\ngangplank_run_state 1\n"
        push = urllib.request.Request(f"{gateway.url}/metrics/job/other", data=body, method="PUT")  # noqa: S310  http
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(push, timeout=10).close()
        yield gateway.address


def _address(server: socket.socket) -> str:
    host, port = server.getsockname()
    return f"{host}:{port}"
