"""An environment that says nothing, and a proxy that notes down what comes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support import left
from support import proxy as proxies
from support.credentials import PREFIX
from support.proxy import Proxy, proxying
from support.servers import Server


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin with an environment that says nothing, and deliver to nowhere what is left at the end."""
    for name in ("HOST", "USERNAME", "PASSWORD", "CA_FILE", "CERT_FILE", "KEY_FILE"):
        monkeypatch.delenv(f"{PREFIX}{name}", raising=False)
    left.begin()
    yield
    left.deliver_to_nowhere(monkeypatch)


@pytest.fixture
def seen() -> list[bytes]:
    """The requests that went through `front`."""
    return []


@pytest.fixture
def front(gateway: Server, seen: list[bytes]) -> Iterator[Proxy]:
    """A proxy in front of a gateway that notes down what comes."""
    with proxying(gateway.port, proxies.records(seen)) as proxy:
        yield proxy
