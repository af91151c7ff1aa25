"""The addresses in a script -> the sinks they name."""

from __future__ import annotations

from gangplank.core import plugins
from gangplank.core.address import scheme_of
from gangplank.core.credentials import PREFIX
from gangplank.core.errors import ConfigurationError
from gangplank.core.report import Report
from gangplank.core.settings import Settings
from gangplank.core.sinks import Sink
from gangplank.core.sinks.pushgateway import Pushgateway


def open_sinks(settings: Settings, report: Report) -> list[Sink]:
    """Return a sink for each address in the settings; nothing is connected before the first send.

    Raises:
        ConfigurationError: an address, the handler or the credentials cannot work, with the cure.
    """
    sinks = [_open(address.text, settings) for address in settings.addresses]
    opened = [str(sink) for sink in sinks]
    for one in opened:
        if opened.count(one) > 1:
            raise ConfigurationError(f"the address {one} is there twice")
    for sink in sinks:
        if isinstance(sink, Pushgateway) and sink.exposed:
            report.once("exposed", "Credentials go to %s in the clear: use https", sink)
        if isinstance(sink, Pushgateway) and not sink.authenticates and settings.lost_password:
            report.once(
                "lost", "The password for %s was not pickled: set %sHOST, _USERNAME and _PASSWORD here", sink, PREFIX
            )
    return sinks


def _open(address: str, settings: Settings) -> Sink:
    if settings.sink is not None:
        return settings.sink(address)
    # These are for gateways only, and theirs alone to use.
    if scheme_of(address) in ("http", "https") and (settings.handler or settings.credentials) is not None:
        return Pushgateway(address, handler=settings.handler, credentials=settings.credentials)
    return plugins.open_sink(address)
