"""A fault of a gateway, and a proxy in front of one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import left
from support import proxy as proxies
from support.gateway_faults import FAULTS, Fault
from support.proxy import Proxy, proxying
from support.servers import Server


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Deliver to nowhere, after each test, what is still on its way."""
    left.begin()
    yield
    left.deliver_to_nowhere(monkeypatch)


@pytest.fixture
def proxy(gateway: Server) -> Iterator[Proxy]:
    """A proxy in front of the gateway, a good one so far."""
    with proxying(gateway.port, proxies.passes) as proxy:
        yield proxy


@pytest.fixture(params=FAULTS)
def fault(request: pytest.FixtureRequest, gateway: Server, proxy: Proxy, tmp_path: Path) -> Iterator[Fault]:
    """One of the faults, which holds until the test heals it."""
    with contextlib.ExitStack() as stack:
        yield FAULTS[request.param](gateway, proxy, stack, tmp_path)
