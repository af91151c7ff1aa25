"""The embedded gateway is a verified fake: nearly every test here runs against Debian's real Pushgateways too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest

from gangplank.testing.gateway import Gateway
from support.gateway_client import Client, connected, of_known_version
from support.servers import Server


@pytest.fixture(scope="module", params=["embedded", "old", "new"])
def kind(request: pytest.FixtureRequest) -> Literal["embedded", "old", "new"]:
    """The embedded gateway, or a generation of real ones."""
    kind: Literal["embedded", "old", "new"] = request.param
    return kind


@pytest.fixture(scope="module")
def server(
    kind: Literal["embedded", "old", "new"], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway | Server]:
    """A gateway of this kind, for the whole module."""
    if kind == "embedded":
        with Gateway() as gateway:
            yield gateway
    else:
        with of_known_version(tmp_path_factory.mktemp("pushgateway"), kind) as real:
            yield real


@pytest.fixture
def client(server: Gateway | Server) -> Iterator[Client]:
    """A client of an empty gateway."""
    with connected(server.address) as client:
        yield client
        client.wipe()
