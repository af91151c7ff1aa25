"""Where pages go: one file per destination."""

from __future__ import annotations

from typing import Protocol

from gangplank.core.credentials import PREFIX, Access, access_to, is_exposed
from gangplank.core.errors import ConfigurationError
from gangplank.core.page import Page
from gangplank.core.report import Report
from gangplank.core.settings import Settings
from gangplank.core.sinks.pushgateway import Pushgateway


class Sink(Protocol):
    """A destination of pages; as text, its address without credentials."""

    def send(self, page: Page, timeout: float) -> None:
        """Replace what the destination shows of the page's group, within `timeout` seconds; off the training thread.

        Raises:
            DeliveryError: it did not arrive.
        """


def open_sink(settings: Settings, report: Report) -> Sink:
    """Return the sink of the address in the settings; nothing is connected before the first send.

    Raises:
        ConfigurationError: the handler or the credentials cannot work, with the cure.
    """
    address, handler, credentials = settings.address, settings.handler, settings.credentials
    if handler is not None:
        if not callable(handler):
            raise ConfigurationError(
                f"handler= is a {type(handler).__name__}: give a callable, such as prometheus_client's"
            )
        if credentials is not None or address.user is not None:
            raise ConfigurationError("credentials and a handler: the handler is who sends, so give them to it")
        return Pushgateway(address, handler=handler, access=Access())
    access = access_to(address, credentials)
    if access.credentials is not None and is_exposed(address):
        report.once("exposed", "Credentials go to %s in the clear: use https", address)
    if access.credentials is None and settings.lost_password:
        report.once(
            "lost", "The password for %s was not pickled: set %sHOST, _USERNAME and _PASSWORD here", address, PREFIX
        )
    return Pushgateway(address, handler=handler, access=access)
