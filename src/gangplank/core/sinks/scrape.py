"""An endpoint in this process, which Prometheus scrapes: `scrape://127.0.0.1:9464`."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, field
from socketserver import BaseServer

from prometheus_client import CollectorRegistry, start_http_server

from gangplank.core.address import host_and_port
from gangplank.core.errors import DeliveryError
from gangplank.core.page import Page
from gangplank.core.report import log
from gangplank.core.sinks.together import Together

LIKE = "scrape://127.0.0.1:9464, or port 0 for any free one"


@dataclass
class _Endpoint:
    """What listens at one address of this process; all exporters with that address share it."""

    pages: Together = field(default_factory=Together)
    server: BaseServer | None = None
    port: int = 0


_endpoints: dict[tuple[str, int], _Endpoint] = {}
_lock = threading.Lock()


class Scrape:
    """A sink that shows its pages to whoever asks over HTTP, until the process ends or it is closed.

    It opens its port with the first page. Exporters of one process with the same address show their pages together.

    Args:
        address: `scheme://host:port`, the host being an address of this machine; port 0 takes any free port, which is
            logged, and which the sink's text has.

    Raises:
        ConfigurationError: it is no such address.
    """

    def __init__(self, address: str) -> None:
        self._at = host_and_port(address, LIKE)

    def __str__(self) -> str:
        """The address, with the port that it listens on."""
        host, port = self._at
        endpoint = _endpoints.get(self._at)
        return f"scrape://{_bracketed(host)}:{endpoint.port if endpoint else port}"

    def send(self, page: Page, timeout: float) -> None:  # noqa: ARG002  nobody is waited for
        """Show the page in place of its group's before; see `Sink.send`."""
        host, port = self._at
        with _lock:
            endpoint = _endpoints.setdefault(self._at, _Endpoint(port=port))
            endpoint.pages.put(page)
            if endpoint.server is not None:
                return
            try:
                registry = CollectorRegistry()
                registry.register(endpoint.pages)
                endpoint.server, _ = start_http_server(port, host, registry)
            except OSError as error:
                raise DeliveryError(
                    f"{self} cannot be listened on: {error.strerror or error}", "unreachable"
                ) from error
            endpoint.port = endpoint.server.server_address[1]
        # A port that nobody chose is news.
        level = logging.INFO if port else logging.WARNING
        log.log(level, "Prometheus can scrape http://%s:%s/metrics", _bracketed(host), endpoint.port)

    def close(self) -> None:
        """Stop listening."""
        with _lock:
            endpoint = _endpoints.pop(self._at, None)
        if endpoint is not None and endpoint.server is not None:
            endpoint.server.shutdown()
            endpoint.server.server_close()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _forked() -> None:
    """Leave the ports to the parent: the threads that answered are its."""
    global _lock  # noqa: PLW0603  the old one may be held
    _lock = threading.Lock()
    for endpoint in _endpoints.values():
        if endpoint.server is not None:
            endpoint.server.server_close()
    _endpoints.clear()


os.register_at_fork(after_in_child=_forked)
