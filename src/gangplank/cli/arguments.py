"""The arguments that several verbs take."""

from __future__ import annotations

import argparse

from gangplank.cli.remote.gateway import GatewayClient
from gangplank.core.errors import ConfigurationError


def add_gateway(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add the address of a gateway, which becomes the `GatewayClient` `arguments.gateway`, or None."""
    nargs = "?" if optional else None
    parser.add_argument(
        "gateway", metavar="ADDRESS", type=_gateway, nargs=nargs, help="the gateway: HOST:PORT or a URL"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _gateway(address: str) -> GatewayClient:
    try:
        return GatewayClient(address)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
