"""An endpoint in this process for Prometheus to scrape: `scrape://127.0.0.1:9464`."""

from __future__ import annotations

import logging
import threading
import weakref

from gangplank.core.errors import DeliveryError
from gangplank.core.lifecycle import after_fork
from gangplank.core.log import logger
from gangplank.core.page.page import Page
from gangplank.core.sinks.address import host_and_port
from gangplank.core.sinks.server import Server
from gangplank.core.sinks.together import Together

LIKE = "scrape://127.0.0.1:9464, or port 0 for any free port"


class Scrape:
    """A sink that serves its pages over HTTP until it is closed or the process ends.

    It opens its port with the first page. Exporters of one process that have the same address share the port, and show
    their pages together, until the last of them is closed.

    Args:
        address: `scrape://host:port`, with a host name or IP address of this machine. Port 0 takes any free port;
            `str(sink)` then has the port once it is open.

    Raises:
        ConfigurationError: the address is not valid.
    """

    def __init__(self, address: str) -> None:
        self._at = host_and_port(address, LIKE)

    def __str__(self) -> str:
        """The address, with the port that it listens on."""
        host, port = self._at
        endpoint = _endpoints.get(self._at)
        return f"scrape://{_in_url(host)}:{endpoint.port if endpoint else port}"

    def send(self, page: Page, timeout: float) -> None:  # noqa: ARG002  it does not wait for anything
        """Show the page in place of the earlier one of its group; see `Sink.send`."""
        try:
            _endpoints.setdefault(self._at, _Endpoint(*self._at)).show(page, self)
        except (OSError, RuntimeError) as error:  # RuntimeError: the process is exiting, no thread can start
            why = getattr(error, "strerror", None) or error
            raise DeliveryError(f"cannot listen on {self}: {why}", "unreachable") from error

    def close(self) -> None:
        """Stop listening, unless another exporter uses the endpoint too."""
        if endpoint := _endpoints.get(self._at):
            endpoint.leave(self)


class _Endpoint:
    """The server at one address, and the sinks that use it; `port` is the port it listens on, or the one to open."""

    def __init__(self, host: str, port: int) -> None:
        self._at = host, port
        self._lock = threading.RLock()  # re-entrant: a garbage collection inside it may run a destructor that closes
        self._users: weakref.WeakSet[Scrape] = weakref.WeakSet()
        self._renew()

    def _renew(self) -> None:
        self.port = self._at[1]
        self.server: Server | None = None
        self._pages = Together()

    def show(self, page: Page, user: Scrape) -> None:
        with self._lock:
            self._users.add(user)
            self._pages.put(page)
            if self.server is not None and self.server.serving:
                self.server.renew()
                return
            self.server = Server(self._at, self._pages.text)
            self.port = self.server.port
        host, port = self._at
        level = logging.INFO if port else logging.WARNING  # the user does not know this port yet
        logger.log(level, "Prometheus can scrape http://%s:%s/metrics", _in_url(host), self.port)

    def leave(self, user: Scrape) -> None:
        with self._lock:
            self._users.discard(user)
            if self.server is not None and not self._users:
                self.server.close()
                self._renew()


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _forked() -> None:
    """Leave the ports to the parent process, which has the threads that serve them."""
    for endpoint in _endpoints.values():
        if endpoint.server is not None:
            endpoint.server.leave()
    _endpoints.clear()


_endpoints: dict[tuple[str, int], _Endpoint] = {}
after_fork(_forked)
