"""Faults of a gateway, and of the network in front of it."""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support import proxy as proxies
from support.proxy import Proxy
from support.servers import UNRESOLVED, Server, pushgateway

TIMEOUT = FLUSH_TIMEOUT = 0.5


# Rows 1 to 5: each fault in front of a real gateway, and how it ends


@dataclass
class Fault:
    """A fault that holds, and what ends it.

    Attributes:
        address: what the user wrote.
        heal: makes the gateway reachable and well again.
        reason: the label that a failed push is counted under.
        said: what an exception and a log line say, as a pattern.
        gateway: the one behind it; None while there is none.
        late: seconds beyond the timeout that a strict run may wait.
        fails: whether a push ends; else it waits for something that has no end, and is unreachable once that ended.
        retried: whether the same page is sent again; one that was refused with a 400 is not.
    """

    address: str
    heal: Callable[[], object]
    reason: str
    said: str
    gateway: Server
    late: float = 0.5
    fails: bool = True
    retried: bool = True


def hangs(gateway: Server, proxy: Proxy, stack: contextlib.ExitStack, folder: Path) -> Fault:
    gateway.freeze()
    stack.callback(gateway.thaw)
    return Fault(gateway.address, gateway.thaw, "timeout", r"did not answer within 0\.5 s", gateway)


def is_down(gateway: Server, proxy: Proxy, stack: contextlib.ExitStack, folder: Path) -> Fault:
    gateway.stop()
    fault = Fault(gateway.address, lambda: None, "unreachable", "is unreachable: .*Connection refused", gateway)

    def heal() -> None:
        fault.gateway = stack.enter_context(pushgateway(folder, port=gateway.port))

    fault.heal = heal
    return fault


PANICS = r"closed the connection: it is a Pushgateway 1\.11\.0, which panics if it refuses a page"


def rejects(
    gateway: Server,
    proxy: Proxy,
    stack: contextlib.ExitStack,
    folder: Path,
    said: str = r"answered 400: .*gangplank_train_metric_0",
    *,
    retried: bool = False,
) -> Fault:
    put(gateway, "other", "# TYPE gangplank_train_metric_0 counter\ngangplank_train_metric_0 1\n")
    heal = functools.partial(put, gateway, "other", "unrelated 1\n")
    return Fault(gateway.address, heal, "rejected", said, gateway, retried=retried)


def panics(gateway: Server, proxy: Proxy, stack: contextlib.ExitStack, folder: Path) -> Fault:
    """It refuses the page, and is Debian 13's."""
    server = stack.enter_context(pushgateway(folder, generation="debian13"))
    return rejects(server, proxy, stack, folder, PANICS, retried=True)


def behind(behaviour: proxies.Behaviour, reason: str, said: str) -> Callable[..., Fault]:
    """Return a fault of the proxy's."""

    def make(gateway: Server, proxy: Proxy, stack: contextlib.ExitStack, folder: Path) -> Fault:
        proxy.behaviour = behaviour

        def heal() -> None:
            proxy.behaviour = proxies.passes

        return Fault(proxy.address, heal, reason, said, gateway)

    return make


def has_no_name(gateway: Server, proxy: Proxy, stack: contextlib.ExitStack, folder: Path) -> Fault:
    """Its name is never resolved: nothing can interrupt that, so a strict run waits a second longer."""
    resolver = stack.enter_context(resolving_never())
    return Fault(
        f"{UNRESOLVED}:{gateway.port}",
        resolver.set,
        "timeout",
        r"accepted nothing within 1\.5 s",
        gateway,
        1.5,
        fails=False,
    )


@contextlib.contextmanager
def resolving_never() -> Iterator[threading.Event]:
    """Have no answer to where UNRESOLVED is, until the event is set (or the block ends): then it is here."""
    release, resolve = threading.Event(), socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        if host == UNRESOLVED:
            release.wait(60)
            host = "127.0.0.1"
        return resolve(host, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        try:
            yield release
        finally:
            release.set()


def put(gateway: Server, job: str, page: str) -> None:
    """Push, as another job of the team does."""
    request = urllib.request.Request(f"{gateway.url}/metrics/job/{job}", page.encode(), method="PUT")
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10).close()


LATE = r"did not answer within 0\.5 s"
FAULTS = {
    "hangs": hangs,
    "refuses": is_down,
    "answers 400": rejects,
    "answers 404": behind(proxies.answers("404 Not Found", "no such page"), "rejected", "answered 404: no such page"),
    "answers 503": behind(proxies.answers("503 Unavailable", "busy\n"), "server_error", "answered 503: busy"),
    "redirects": behind(proxies.answers("307 Temporary Redirect", "", "Location: /a"), "rejected", "answered 307"),
    "is slow": behind(proxies.is_slow(2.0), "timeout", LATE),
    "drips": behind(proxies.drips, "timeout", LATE),
    "is half open": behind(proxies.is_silent, "timeout", LATE),
    "resets the request": behind(proxies.resets_the_request, "unreachable", "is unreachable: .*reset"),
    "resets the answer": behind(proxies.resets_the_answer, "unreachable", "is unreachable: .*reset"),
    "has no name": has_no_name,
    "panics": panics,
    "panics, as a stand-in": behind(proxies.hangs_up("1.11.0"), "rejected", PANICS),
    "answers half": behind(
        proxies.hangs_up("1.11.0", b"HTTP/1.1 200 OK\r\n"), "unreachable", "is unreachable: .*in its headers"
    ),
    "hangs up": behind(proxies.hangs_up("1.11.2"), "unreachable", "is unreachable: .*without response"),
}
