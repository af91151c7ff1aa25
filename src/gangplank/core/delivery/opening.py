"""The destinations in the settings become sinks."""

from __future__ import annotations

from typing import NamedTuple

from gangplank.core.errors import ConfigurationError
from gangplank.core.log import Log
from gangplank.core.plugins import registry
from gangplank.core.settings import Destination, Settings
from gangplank.core.sinks.address import whole
from gangplank.core.sinks.base import Sink
from gangplank.core.sinks.credentials import PREFIX
from gangplank.core.sinks.hidden import reveal
from gangplank.core.sinks.pushgateway import Pushgateway


class OpenSink(NamedTuple):
    """A sink, the seconds between two pushes to it, and the seconds that one push may take."""

    sink: Sink
    push_interval: float
    timeout: float


def open_sinks(settings: Settings, log: Log) -> list[OpenSink]:
    """Return a sink for each destination in the settings; a sink does not connect before its first send.

    Raises:
        ConfigurationError: an address, the handler or the credentials cannot work; the message suggests a fix.
    """
    opened = [
        OpenSink(
            _open(one, settings),
            settings.push_interval if one.push_interval is None else one.push_interval,
            settings.timeout if one.timeout is None else one.timeout,
        )
        for one in settings.destinations
    ]
    addresses = [str(one.sink) for one in opened]
    for address in addresses:
        if addresses.count(address) > 1:
            raise ConfigurationError(f"the address {address} appears twice: remove one")
    for sink in (one.sink for one in opened):
        if isinstance(sink, Pushgateway) and sink.exposed:
            log.warn_once("exposed", "Credentials go to %s unencrypted: use https", sink)
        if isinstance(sink, Pushgateway) and not sink.authenticates and settings.lost_password:
            log.warn_once(
                "lost", "The password for %s was not pickled: set %sHOST, _USERNAME and _PASSWORD here", sink, PREFIX
            )
    return opened


def _open(destination: Destination, settings: Settings) -> Sink:
    if settings.sink is not None:
        return reveal(settings.sink)(whole(destination.address))  # no variable may show it
    handler = None if destination.credentials is not None else settings.handler
    # Only for gateways: plugins must not get a handler or credentials.
    if destination.is_gateway and (handler or destination.credentials) is not None:
        return Pushgateway(destination.address, handler=handler, credentials=destination.credentials)
    return registry.open_sink(destination.address)
