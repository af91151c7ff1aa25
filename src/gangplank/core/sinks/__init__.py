"""Where pages go: one file per destination."""

from __future__ import annotations

from typing import Protocol

from gangplank.core import address as addresses
from gangplank.core.errors import ConfigurationError
from gangplank.core.page import Page
from gangplank.core.sinks.pushgateway import Handler, Pushgateway


class Sink(Protocol):
    """A destination of pages; as text, its address without credentials."""

    def send(self, page: Page) -> None:
        """Replace what the destination shows of the page's group; called on the thread that sends.

        Raises:
            DeliveryError: it did not arrive within the sink's own deadline.
        """


def open_sink(address: str, *, handler: Handler | None, timeout: float) -> Sink:
    """Return the sink of an address; nothing is connected before the first send.

    Args:
        address: what the user wrote.
        handler: sends in our stead, or None.
        timeout: seconds that a send may take in all.

    Raises:
        ConfigurationError: the address or the handler cannot work, with the cure.
    """
    parsed = addresses.parse(address)
    if handler is not None and not callable(handler):
        raise ConfigurationError(
            f"handler={handler!r}: give a callable, such as prometheus_client's basic_auth_handler"
        )
    if handler is not None and parsed.user is not None:
        raise ConfigurationError("credentials in the address and a handler: the handler sends, so give them to it")
    return Pushgateway(parsed, handler=handler, timeout=timeout)
