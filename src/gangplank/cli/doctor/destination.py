"""What `gangplank doctor` checks of a destination: a gateway, a file, a port, or a plugin's sink."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from gangplank.cli.doctor import gateway, probe
from gangplank.cli.doctor.check import Check, Report
from gangplank.cli.remote.gateway import GatewayClient
from gangplank.core.errors import ConfigurationError, GangplankError
from gangplank.core.plugins import registry
from gangplank.core.sinks.address import host_and_port, scheme_of
from gangplank.core.sinks.credentials import PREFIX
from gangplank.core.sinks.pushgateway import Pushgateway
from gangplank.core.types import Group


def check_destination(address: str | None, report: Report, while_pushed: Callable[[Group | None], None]) -> None:
    """Check a destination.

    Args:
        address: as in a script; None checks nothing.
        report: takes each result.
        while_pushed: called once: with the temporary group while it is on a gateway, or with None if there is none.
    """
    if address is None:
        while_pushed(None)
    elif scheme_of(address) in ("http", "https"):
        _check_gateway(address, report, while_pushed)
    else:
        report(_sink(address))
        while_pushed(None)


def _check_gateway(address: str, report: Report, while_pushed: Callable[[Group | None], None]) -> None:
    try:
        sink, client = Pushgateway(address), GatewayClient(address)
    except ConfigurationError as error:
        report(Check("gateway", "problem", str(error)))
        while_pushed(None)
        return
    if sink.exposed:
        report(Check("gateway", "warning", f"credentials are sent to {sink} unencrypted", "use https"))
    host = os.environ.get(f"{PREFIX}HOST")
    if host and os.environ.get(f"{PREFIX}USERNAME") and not sink.authenticates:
        found = f"the user name in the environment is for {host}, so it is not sent to {sink}"
        report(Check("gateway", "warning", found, f"if it should be, set {PREFIX}HOST"))
    if gateway.check_gateway(sink, client, report):
        probe.push_and_delete(sink, client, report, while_pushed)
    else:
        while_pushed(None)


def _sink(address: str) -> Check:
    """Check a destination other than a gateway; nothing is sent there."""
    try:
        sink = registry.open_sink(address)
    except GangplankError as error:
        return Check("destination", "problem", str(error))
    if scheme_of(address) == "file":
        folder = Path(str(sink).removeprefix("file://")).parent
        fix = f"node_exporter must run with --collector.textfile.directory={folder}"
        return Check("destination", "ok", f"{address} can be written", fix)
    if scheme_of(address) == "scrape":
        return _port(address)
    return Check("destination", "ok", f"{address} is opened by a plugin, as a {type(sink).__name__}")


def _port(address: str) -> Check:
    host, port = host_and_port(address, "")
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        fix = "choose another port, or stop the program that listens on it"
        return Check("destination", "problem", f"cannot listen on {address}: {error.strerror}", fix)
    return Check("destination", "ok", f"the port of {address} is free")
