"""Several addresses: each has its own outbox, and none waits for another."""

from __future__ import annotations

import copy
import functools
import json
import math
import pickle
import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import gangplank
from gangplank import ConfigurationError, DeliveryError, Exporter, Page
from support.reading import eventually, samples, value
from support.runs import closing_all
from support.servers import Server, free_port, get, prometheus, pushgateway
from support.timing import timed

IDENTITY = ("job", "phase", "team", "run")


@pytest.fixture
def exporters() -> Iterator[list[Exporter]]:
    """Exporters that are closed after the test."""
    with closing_all() as exporters:
        yield exporters


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Server]:
    """Another gateway, for a good end of what the first one does not take."""
    folder = tmp_path / "second"
    folder.mkdir()
    with pushgateway(folder) as server:
        yield server


def pages(exporter: Exporter) -> dict[str, str]:
    """Return what each of an exporter's destinations shows, by scheme."""
    found = {}
    for address in exporter.addresses:
        scheme, _, rest = address.partition("://")
        if scheme == "file":
            found[scheme] = Path(rest).read_bytes().decode()
        else:
            found[scheme] = get(f"http://{rest}/metrics")
    return found


def arrived(server: Server, loss: float) -> None:
    """Wait until a gateway shows this loss."""
    eventually(lambda: value(server, "gangplank_train_loss") == loss)


def finished(server: Server) -> list[str]:
    """Return the phases that a gateway shows as finished."""
    states = samples(server.metrics(), "gangplank_run_state", state="finished")
    return [sample.labels["phase"] for sample in states if sample.value == 1]


# Of each way in which a number is spelled.
EDGES = [-1234567.5, -1e6, -100000, -0.3, -1e-5, 0, 5e-324, 1e-5, 0.0001, 0.25, 1, 100000, 1e6, 123456789, 1e21]


def timeless(page: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return the series of a page that say no time; a gateway adds an empty label."""
    found = {}
    for name in set(re.findall(r"^(gangplank_\w+){", page, re.MULTILINE)):
        if not re.search("_seconds$", name):
            for sample in samples(page, name):
                labels = {label: text for label, text in sample.labels.items() if text}
                found[name, frozenset(labels.items())] = sample.value
    return found


def test_every_sink_shows_the_same_with_the_same_identity(
    gateway: Server, tmp_path: Path, exporters: list[Exporter]
) -> None:
    exporter = gangplank.Exporter(
        [gateway.address, f"file://{tmp_path}/digits.prom", "scrape://127.0.0.1:0"],
        "digits",
        grouping_key={"team": "vision"},
        histogram_buckets=EDGES,
        ignore_exceptions=False,
    )
    exporters.append(exporter)
    run = exporter.run()
    run.record({"loss": 0.1, "größe": 2.0}, epoch=0, weights=[[-1.0, 0.0, 1.0]], learning_rates={"adam": 0.1})
    run.finish()
    with exporter.run("test") as test:
        test.record({"loss": 0.3})
    shown = pages(exporter)
    assert list(shown) == ["http", "file", "scrape"]
    series = {scheme: timeless(page) for scheme, page in shown.items()}
    assert series["file"] == series["scrape"] == series["http"]
    assert len(series["file"]) > 30
    bounds = [sample.labels["le"] for sample in samples(shown["file"], "gangplank_train_model_weights_bucket")]
    assert sorted(map(float, bounds)) == [*EDGES, math.inf]
    for phase, its in (("train", run), ("test", test)):
        (sample,) = samples(shown["file"], f"gangplank_{phase}_loss")
        expected = {"job": "digits", "phase": phase, "team": "vision", "run": its.name}
        assert sample.labels == expected


def test_prometheus_has_the_same_buckets_from_each(gateway: Server, tmp_path: Path, exporters: list[Exporter]) -> None:
    port = free_port()
    exporter = gangplank.Exporter(
        [gateway.address, f"scrape://127.0.0.1:{port}"], "digits", histogram_buckets=EDGES, ignore_exceptions=False
    )
    exporters.append(exporter)
    run = exporter.run()
    run.record({"loss": 0.1}, epoch=0, weights=[[-1.0, 0.0, 1.0]])
    bounds = len(EDGES) + 1
    with prometheus(tmp_path, f"{gateway.address},127.0.0.1:{port}") as database:
        every = "gangplank_train_model_weights_bucket"
        database.await_query(f"count({every}) == {2 * bounds}")
        shared = database.query(f"count by (le) ({every}) == 2")
        assert len(shared) == bounds
        # So a query that names a bucket is wrong for one generation or the other.
        version = json.loads(get(f"{database.url}/api/v1/status/buildinfo"))["data"]["version"]
        assert ("1" if version.startswith("2.") else "1.0") in {labels["le"] for labels, _ in shared}


def test_one_that_hangs_delays_no_other(gateway: Server, second: Server) -> None:
    exporter = gangplank.Exporter([gateway.address, second.address], "digits", timeout=0.5, flush_timeout=0.5)
    run = exporter.run()
    gateway.freeze()
    try:
        hooks, arrivals = [], []
        for epoch in range(20):
            hooks.append(timed(functools.partial(run.record, {"loss": epoch}, epoch=epoch)))
            arrivals.append(timed(functools.partial(arrived, second, epoch)))
        assert statistics.median(hooks) < 0.05
        assert max(hooks) < 0.4, "less than a push that times out"
        assert statistics.median(arrivals) < 0.1
        assert max(arrivals) < 0.4
        assert timed(run.finish) < 0.75
        assert value(second, "gangplank_run_state", state="finished") == 1
        again = exporter.run("test")
        again.record({"loss": 0.25})
        assert timed(again.finish) < 0.25  # it was in vain once
        eventually(lambda: value(second, "gangplank_run_state", state="finished", phase="test") == 1)
    finally:
        gateway.thaw()
    eventually(lambda: len(finished(gateway)) == 2, timeout=30)


def test_one_that_refuses_delays_no_other_and_gets_the_newest_in_the_end(
    second: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    run = gangplank.run([f"127.0.0.1:{port}", second.address], "digits")
    for epoch in range(5):
        run.record({"loss": epoch}, epoch=epoch)
        arrived(second, epoch)
    run.finish()
    said = [entry.getMessage() for entry in caplog.records]
    assert [line for line in said if f":{port} is unreachable" in line]
    assert not [line for line in said if second.address in line]
    assert value(second, "gangplank_run_state", state="finished") == 1
    with pushgateway(tmp_path, port=port) as server:
        eventually(lambda: value(server, "gangplank_train_loss") == 4, timeout=30)


@pytest.mark.parametrize("order", [0, 1])
def test_a_strict_run_raises_what_failed_and_all_others_have_it(
    gateway: Server, tmp_path: Path, order: int, exporters: list[Exporter]
) -> None:
    port = free_port()
    addresses = [f"127.0.0.1:{port}", gateway.address, f"file://{tmp_path}/digits.prom", "scrape://127.0.0.1:0"]
    exporter = gangplank.Exporter(addresses[::-1] if order else addresses, "digits", ignore_exceptions=False)
    exporters.append(exporter)
    run = exporter.run()
    with pytest.raises(DeliveryError, match=f":{port} is unreachable"):
        run.record({"loss": 0.5}, epoch=0)  # which starts it
    with pytest.raises(DeliveryError, match=f":{port} is unreachable"):
        run.record({"loss": 0.25}, epoch=0)
    assert value(gateway, "gangplank_train_loss") == 0.25
    shown = [Path(tmp_path / "digits.prom").read_text()]
    shown += [get(one.replace("scrape:", "http:")) for one in exporter.addresses if one.startswith("scrape:")]
    assert len(shown) == 2
    for page in shown:
        assert [sample.value for sample in samples(page, "gangplank_train_loss")] == [0.25]
    with pytest.raises(DeliveryError):
        run.finish()
    assert value(gateway, "gangplank_run_state", state="finished") == 1
    with pushgateway(tmp_path, port=port) as server:
        eventually(lambda: value(server, "gangplank_run_state", state="finished") == 1, timeout=30)


def handler(url: str, method: str, timeout: float | None, headers: Any, data: bytes) -> Callable[[], None]:
    return lambda: None


@pytest.mark.parametrize(
    ("addresses", "options", "said"),
    [
        (["gateway:1", "gateway:1"], {}, r"gateway:1'? appears twice"),
        (["scrape://a:1", "gateway:1", "scrape://a:1"], {}, r"scrape://a:1'? appears twice"),
        (
            ["http://u:secret@gateway:1", "http://u:secret@gateway:1"],
            {},
            r"http://gateway:1'? appears twice",
        ),
        ([], {}, "give text such as host:port, a Destination, or a list of these"),
        ([None], {}, "give text such as host:port, a Destination, or a list of these"),
        (["gateway:1", "http://other:1"], {"handler": handler}, "handler= is for one Pushgateway"),
        (["gateway:1", "http://other:1"], {"credentials": lambda: ("u", "p")}, "credentials= is for one Pushgateway"),
        (["scrape://127.0.0.1:0"], {"handler": handler}, "handler= is for one Pushgateway"),
        (["scrape://127.0.0.1:0"], {"credentials": lambda: ("u", "p")}, "credentials= is for one Pushgateway"),
        (["gateway:1", "kafka://broker:9092"], {}, r"kafka://broker:9092: the scheme is not built in"),
        (["gateway:1", "kafka://u:secret@broker:9092"], {}, r"kafka://broker:9092: the scheme is not built in"),
        (["gateway:1", "gateway"], {}, "has no port"),
        (["gateway:1", "file://x.prom"], {}, "is not the address of a file"),
    ],
)
def test_a_list_that_cannot_work_is_refused_with_the_cure(
    addresses: Sequence[str], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said) as raised:
        gangplank.run(addresses, "digits", **options)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "other", ["http://gateway:1", "http://gateway:1/", "GATEWAY:1", "http://user:secret@gateway:1"]
)
def test_one_gateway_in_two_spellings_is_refused(other: str) -> None:
    with pytest.raises(ConfigurationError, match="appears twice"):
        gangplank.run(["gateway:1", other], "digits")


def test_credentials_and_a_handler_go_to_the_one_gateway_among_others(
    tmp_path: Path, exporters: list[Exporter]
) -> None:
    sent = []

    def recorded(url: str, method: str, timeout: float | None, headers: Any, data: bytes) -> Callable[[], None]:
        return lambda: sent.append(url)

    addresses = ["gateway:1", f"file://{tmp_path}/digits.prom", "scrape://127.0.0.1:0"]
    exporter = gangplank.Exporter(addresses, "digits", handler=recorded, ignore_exceptions=False)
    exporters.append(exporter)
    with exporter.run() as run:
        run.record({"loss": 0.5}, epoch=0)
    assert set(sent) == {"http://gateway:1/metrics/job/digits/phase/train"}


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda exporter: pickle.loads(pickle.dumps(exporter))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copy_has_all_the_destinations(
    gateway: Server, tmp_path: Path, copied: Callable[[Exporter], Exporter], exporters: list[Exporter]
) -> None:
    addresses = [gateway.address, f"file://{tmp_path}/digits.prom", f"scrape://127.0.0.1:{free_port()}"]
    exporter = gangplank.Exporter(addresses, "digits", ignore_exceptions=False)
    exporters.append(exporter)
    run = exporter.run()
    run.record({"loss": 0.5}, epoch=0)
    other = copied(exporter)
    exporters.append(other)
    assert other.addresses == exporter.addresses
    assert not other.run().open
    with other.run("test") as test:
        test.record({"loss": 0.25})
    run.finish()
    for page in pages(exporter).values():
        assert [sample.value for sample in samples(page, "gangplank_train_loss")] == [0.5]
        assert [sample.value for sample in samples(page, "gangplank_test_loss")] == [0.25]


class Kept:
    """A sink of a user's own."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.pages: list[Page] = []
        self.closed = 0

    def __str__(self) -> str:
        return self.address

    def send(self, page: Page, timeout: float) -> None:
        self.pages.append(page)

    def close(self) -> None:
        self.closed += 1


def test_a_sink_of_ones_own_has_each_address() -> None:
    sinks: list[Kept] = []

    def opened(address: str) -> Kept:
        sinks.append(Kept(address))
        return sinks[-1]

    exporter = gangplank.Exporter(
        ["kafka://a", "kafka://b"], "digits", run="mine", sink=opened, ignore_exceptions=False
    )
    with exporter.run() as run:
        run.record({"loss": 0.5}, epoch=0)
    exporter.close()
    assert exporter.addresses == ("kafka://a", "kafka://b")
    for sink in sinks:
        assert sink.closed == 1
        assert sink.pages[-1].identified().labels == {"job": "digits", "phase": "train", "run": "mine"}
        assert "gangplank_train_loss" in sink.pages[-1].text().decode()
