"""Destinations with options of their own, and what is counted of each."""

from __future__ import annotations

import functools
import operator
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

import gangplank
from gangplank import ConfigurationError, DeliveryError, Destination, Page
from gangplank.core.errors import FAILURE_REASONS
from gangplank.testing import MemorySink
from support.reading import eventually

FAILURES = "gangplank_run_export_failures_total"


class Named(MemorySink):
    """A destination with an address, which notes the timeouts, and fails while there is an error."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address
        self.timeouts: list[float] = []
        self.error: DeliveryError | None = None

    def __str__(self) -> str:
        return self.address

    def send(self, page: Page, timeout: float) -> None:
        self.timeouts.append(timeout)
        if self.error is not None:
            raise self.error
        super().send(page, timeout)


class Sinks(dict[str, Named]):
    """Opens a sink for each address."""

    def __call__(self, address: str) -> Named:
        return self.setdefault(address, Named(address))


@pytest.mark.parametrize("own", [False, True])
def test_each_keeps_to_its_own_push_interval(own: bool) -> None:
    sinks = Sinks()
    often, seldom = ("own", "common") if own else ("common", "own")
    addresses: list[str | Destination] = ["common", Destination("own", push_interval=0 if own else 3600)]
    exporter = gangplank.Exporter(
        addresses, "digits", sink=sinks, update_freq="batch", push_interval=3600 if own else 0
    )
    with exporter.run() as run:
        run.start()
        for step in range(1, 6):
            run.step({"loss": step}, step=step)
            eventually(
                functools.partial(sinks[often].value, "gangplank_train_batch_loss"),
                functools.partial(operator.eq, step),
            )
        assert len(sinks[seldom].pages) == 1
        run.record({"loss": 0.5}, epoch=0)
        eventually(lambda: sinks[seldom].value("gangplank_train_loss") == 0.5)
    assert sinks[seldom].value("gangplank_train_batch_loss") == 5


def test_each_keeps_to_its_own_timeout() -> None:
    sinks = Sinks()
    exporter = gangplank.Exporter(["common", Destination("own", timeout=0.5)], "digits", sink=sinks, timeout=3)
    with exporter.run() as run:
        run.record({"loss": 0.5}, epoch=0)
    assert set(sinks["common"].timeouts) == {3.0}
    assert set(sinks["own"].timeouts) == {0.5}


def test_a_strict_run_waits_for_the_longest_timeout() -> None:
    slow = Named("own")
    arrived = threading.Event()

    def send(page: Page, timeout: float) -> None:
        assert not arrived.wait(1.5)
        raise DeliveryError("not within 5 s", "timeout")

    slow.send = send  # type: ignore[method-assign]
    sinks = Sinks(own=slow)
    exporter = gangplank.Exporter(
        ["common", Destination("own", timeout=5)], "digits", sink=sinks, timeout=0.1, ignore_exceptions=False
    )
    with pytest.raises(DeliveryError, match="not within 5 s"):
        exporter.run().start()


@contextmanager
def gateways(number: int) -> Iterator[tuple[list[str], dict[str, set[str | None]]]]:
    """Lend the addresses of gateways, and the `Authorization` headers that each gets."""
    headers: dict[str, set[str | None]] = {}

    class Answers(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            headers.setdefault(self.headers["Host"], set()).add(self.headers["Authorization"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name in the base
            pass

    servers = [HTTPServer(("127.0.0.1", 0), Answers) for _ in range(number)]
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield [f"127.0.0.1:{server.server_port}" for server in servers], headers
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


def test_each_gets_its_own_credentials_and_no_others() -> None:
    with gateways(3) as ((first, second, third), headers):
        addresses: list[str | Destination] = [
            first,
            Destination(second, credentials=lambda: "Bearer second"),
            Destination(third, credentials=lambda: "Bearer third"),
        ]
        exporter = gangplank.Exporter(addresses, "digits", credentials=lambda: "Bearer common", ignore_exceptions=False)
        with exporter.run() as run:
            run.record({"loss": 0.5}, epoch=0)
    assert headers == {first: {"Bearer common"}, second: {"Bearer second"}, third: {"Bearer third"}}


def test_a_handler_sends_to_the_gateway_that_has_no_credentials_of_its_own() -> None:
    sent: list[str] = []

    def handler(url: str, method: str, timeout: float | None, headers: Any, data: bytes) -> Callable[[], None]:
        return lambda: sent.append(url)

    with gateways(1) as ((own,), headers):
        addresses: list[str | Destination] = [Destination(own, credentials=lambda: "Bearer own"), "gateway:1"]
        exporter = gangplank.Exporter(addresses, "digits", handler=handler, ignore_exceptions=False)
        with exporter.run() as run:
            run.record({"loss": 0.5}, epoch=0)
    assert set(sent) == {"http://gateway:1/metrics/job/digits/phase/train"}
    assert headers == {own: {"Bearer own"}}


@pytest.mark.parametrize(
    ("destination", "options", "said"),
    [
        (Destination("gateway:1", push_interval=-1), {}, "push_interval=-1: give seconds, zero or more"),
        (Destination("gateway:1", timeout=0), {}, "timeout=0: give seconds, more than zero"),
        (Destination("gateway:1", timeout=float("nan")), {}, "timeout=nan: give seconds"),
        (Destination("gateway:1", credentials="canary"), {}, "credentials= is a str: give a callable"),  # type: ignore[arg-type]
        (Destination(5), {}, "the address of a Destination is an int: give text such as host:port"),  # type: ignore[arg-type]
        (
            Destination("scrape://127.0.0.1:0", credentials=lambda: "canary"),
            {},
            "credentials= are for a Pushgateway, and scrape://127.0.0.1:0 is not one",
        ),
        (
            Destination("http://u:canary@gateway:1", credentials=lambda: "canary"),
            {"sink": MemorySink()},
            "credentials= are for a Pushgateway, and http://gateway:1 is not one",
        ),
        (
            Destination("gateway:1", credentials=lambda: "canary"),
            {"credentials": lambda: "canary"},
            "credentials= is for one Pushgateway, and 0 addresses are Pushgateways",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_the_fix(destination: Destination, options: dict[str, Any], said: str) -> None:
    for address in (destination, [destination]):
        with pytest.raises(ConfigurationError) as raised:
            gangplank.Exporter(address, "digits", **options)
        assert said in str(raised.value)
        assert "canary" not in str(raised.value)


def test_a_destination_shows_no_password() -> None:
    destination = Destination("http://me:canary@gateway:1/prefix", timeout=3.0, credentials=lambda: "canary")
    assert str(destination) == "http://gateway:1/prefix"
    assert "canary" not in repr(destination)
    assert "timeout=3.0" in repr(destination)


def test_failures_are_counted_for_each_destination_and_shown_at_all() -> None:
    sinks = Sinks()
    exporter = gangplank.Exporter(["a", "b"], "digits", sink=sinks)
    run = exporter.run()
    run.start()
    eventually(lambda: sinks["a"].pages and sinks["b"].pages)
    for sink in sinks.values():
        counted = {
            (to, why): sink.value(FAILURES, destination=to, reason=why) for to in "ab" for why in FAILURE_REASONS
        }
        assert set(counted.values()) == {0}
        assert len(counted) == 10
    sinks["a"].error = DeliveryError("full", "rejected", retry=False)
    run.record({"loss": 0.5}, epoch=0)
    eventually(lambda: len(sinks["a"].timeouts) == 2)
    sinks["a"].error = None
    sinks["b"].error = DeliveryError("gone", "unreachable", retry=False)
    run.record({"loss": 0.25}, epoch=1)
    eventually(lambda: sinks["a"].value("gangplank_train_loss") == 0.25)
    eventually(lambda: sinks["b"].timeouts[2:])
    sinks["b"].error = None
    run.finish()
    for sink in sinks.values():
        assert sink.value("gangplank_run_state", state="finished") == 1
        counted = {
            (to, why): sink.value(FAILURES, destination=to, reason=why) for to in "ab" for why in FAILURE_REASONS
        }
        assert {labels: count for labels, count in counted.items() if count} == {
            ("a", "rejected"): 1,
            ("b", "unreachable"): 1,
        }


def test_an_exporter_gives_up_what_has_not_arrived() -> None:
    sinks = Sinks()
    sinks("a").error = DeliveryError("gone", "unreachable", retry_after=0.3)
    exporter = gangplank.Exporter(["a", "b"], "digits", sink=sinks, flush_timeout=0.1)
    with exporter.run() as run:
        run.record({"loss": 0.5}, epoch=0)
    eventually(lambda: not exporter._destinations._each[1].outbox._sources)  # noqa: SLF001
    exporter.abandon()
    attempts = len(sinks["a"].timeouts)
    sinks["a"].error = None
    eventually(lambda: not exporter._destinations._each[0].outbox._worker.alive)  # noqa: SLF001  nothing is due any more
    assert len(sinks["a"].timeouts) == attempts
    assert not sinks["a"].pages
    assert sinks["b"].value("gangplank_run_state", state="finished") == 1
    with exporter.run() as again:
        again.record({"loss": 0.25}, epoch=0)
    # A new run is sent; its end has not waited for a destination that did not answer before.
    eventually(lambda: sinks["a"].value("gangplank_train_loss") == 0.25)
