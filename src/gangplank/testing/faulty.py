"""Gateways that do not work, which must not affect a training run."""

from __future__ import annotations

import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from gangplank.testing.gateway import Gateway

# Yields the address; the argument is the seconds after which it may stop keeping a client waiting.
Faulty = Callable[[float], AbstractContextManager[str]]


@contextmanager
def refusing(_patience: float) -> Iterator[str]:
    """No process listens: connections are refused."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield _address(bound)


@contextmanager
def hung(patience: float) -> Iterator[str]:
    """Connections are accepted and requests are not answered; after `patience` seconds, all are closed."""
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
    """Every page is answered with 400: another job has pushed one of our families with another type."""
    with Gateway() as gateway:
        body = b"# TYPE gangplank_run_state counter\ngangplank_run_state 1\n"
        push = urllib.request.Request(f"{gateway.url}/metrics/job/other", data=body, method="PUT")  # noqa: S310  http
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(push, timeout=10).close()
        yield gateway.address


def _address(server: socket.socket) -> str:
    host, port = server.getsockname()
    return f"{host}:{port}"
