"""The embedded gateway is a verified fake: nearly every test here runs against Debian's real Pushgateways too."""

from __future__ import annotations

import gzip
import http.client
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import prometheus_client
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gangplank.testing.gateway import Gateway
from gateway_corpus import ACCEPTED, ANSWERS, DIFFERENT, GROUPS, INCONSISTENT, MALFORMED, NUMBERS
from servers import Generation, Server, find, prometheus, pushgateway, version_of

JOB = "/metrics/job/a"
OWN = re.compile(r"# (HELP|TYPE) (go|process|push|pushgateway)_")
GENERATIONS: list[Generation] = ["old", "new"]
STAMP = re.compile(r"(push_time_seconds|push_failure_time_seconds)(\{.*\}) (.*)")


@dataclass
class Client:
    """Talks to a gateway over one connection, and knows what it pushed."""

    address: str
    touched: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection(self.address, timeout=10)

    def send(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> tuple[int, str]:
        """Send a request; return the status and the text."""
        if method in ("PUT", "POST"):
            self.touched.add(path)
        self.connection.request(method, path, body, headers or {})
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode()

    def put(self, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> int:
        """PUT; return the status."""
        return self.send("PUT", path, body, headers)[0]

    def post(self, path: str, body: bytes = b"") -> int:
        """POST; return the status."""
        return self.send("POST", path, body)[0]

    def delete(self, path: str) -> None:
        """DELETE, and wait: the real gateway deletes behind its answer, though before the next push."""
        assert self.send("DELETE", path)[0] == 202
        assert self.put("/metrics/job/last") == 200

    def lines(self) -> list[str]:
        """Return the lines of the page."""
        status, text = self.send("GET", "/metrics")
        assert status == 200, text
        return text.split("\n")[:-1]

    def page(self) -> list[str]:
        """Return the lines about what was pushed, without the times; `instance="",job="a"` goes without saying."""
        return sorted(
            line.replace('{instance="",job="a"}', "").replace('{instance="",job="a",', "{")
            for line in self.lines()
            if ("job=" in line and not STAMP.fullmatch(line)) or (line.startswith("#") and not OWN.match(line))
        )

    def times(self) -> dict[str, tuple[float, float]]:
        """Return the push time and the failure time of each group, by its labels as they are on the page."""
        times: dict[str, dict[str, float]] = {}
        for line in self.lines():
            if match := STAMP.fullmatch(line):
                times.setdefault(match[2], {})[match[1]] = float(match[3])
        return {
            labels: (of["push_time_seconds"], of["push_failure_time_seconds"])
            for labels, of in times.items()
            if 'job="last"' not in labels
        }

    def wipe(self) -> None:
        """Leave nothing behind."""
        for path in self.touched:
            self.send("DELETE", path)
        self.put("/metrics/job/last")
        assert not self.page()
        assert not self.times()
        self.touched.clear()


@pytest.fixture(scope="module", params=["embedded", "old", "new"])
def kind(request: pytest.FixtureRequest) -> Literal["embedded", "old", "new"]:
    """The embedded gateway, or a generation of real ones."""
    kind: Literal["embedded", "old", "new"] = request.param
    return kind


def of_known_version(folder: Path, generation: Generation) -> AbstractContextManager[Server]:
    """Return a real gateway of the versions that the corpus knows: what others make of odd requests is their affair."""
    known = {"old": "1.5.", "new": "1.11."}[generation]
    if not version_of(find("prometheus-pushgateway", "pushgateway", generation=generation)).startswith(known):
        pytest.skip(f"needs Pushgateway {known}x")
    return pushgateway(folder, generation=generation)


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


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """Lend a client."""
    client = Client(address)
    with closing(client.connection):
        yield client


@pytest.fixture
def client(server: Gateway | Server) -> Iterator[Client]:
    """A client of an empty gateway."""
    with connected(server.address) as client:
        yield client
        client.wipe()


# What is read


@pytest.mark.parametrize("name", ACCEPTED)
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_accepts(client: Client, name: str, method: str) -> None:
    body, page = ACCEPTED[name]
    assert client.send(method, JOB, body) == (200, "")
    assert client.page() == sorted(page.rstrip("\n").split("\n") if page else [])
    pushed, failed = client.times()['{instance="",job="a"}']
    assert abs(pushed - time.time()) < 5
    assert failed == 0


@pytest.mark.parametrize("name", DIFFERENT)
def test_the_generations_differ(client: Client, kind: str, name: str) -> None:
    body, old, new = DIFFERENT[name]
    page = old if kind == "old" else new
    status, reason = client.send("PUT", JOB, body)
    if page is None:
        assert (status, reason[:33]) == (400, "text format parsing error in line")
    else:
        assert (status, client.page()) == (200, sorted(page.rstrip("\n").split("\n")))


@pytest.mark.parametrize(("pushed", "scraped"), NUMBERS.items())
def test_writes_numbers_as_go_does(client: Client, pushed: str, scraped: str) -> None:
    bucket = f'# TYPE h histogram\nh_bucket{{le="{pushed}"}} 1\n'
    assert client.put(JOB, f"# TYPE m gauge\nm {pushed}\n{bucket}".encode()) == 200
    assert f"m {scraped}" in client.page()
    if scraped != "NaN":
        assert f'h_bucket{{le="{scraped}"}} 1' in client.page()


@pytest.mark.parametrize("name", MALFORMED)
def test_refuses_what_is_malformed(client: Client, name: str) -> None:
    assert client.put(JOB, b"before 1\n") == 200
    times = client.times()
    for method in ("PUT", "POST"):
        status, reason = client.send(method, JOB, b"good 1\n" + MALFORMED[name])
        assert status == 400
        assert reason.startswith("text format parsing error in line ")
    assert client.page() == ["# TYPE before untyped", "before 1"]
    assert client.times() == times


@pytest.mark.parametrize("name", INCONSISTENT)
def test_refuses_what_does_not_fit(client: Client, name: str) -> None:
    assert client.put(JOB, b"before 1\n") == 200
    [(pushed, _)] = client.times().values()
    for method in ("PUT", "POST"):
        status, reason = client.send(method, JOB, b"good 1\n" + INCONSISTENT[name])
        assert status == 400
        assert reason.startswith("pushed metrics are invalid or inconsistent with existing metrics: ")
    assert client.page() == ["# TYPE before untyped", "before 1"]
    assert client.times().keys() == {'{instance="",job="a"}'}
    [(still, failed)] = client.times().values()
    assert still == pushed
    assert abs(failed - time.time()) < 5


@pytest.mark.parametrize("name", INCONSISTENT)
def test_a_group_never_accepted_has_only_its_times(client: Client, name: str) -> None:
    assert client.put(JOB, INCONSISTENT[name]) == 400
    assert client.page() == []
    assert client.times().keys() == {'{instance="",job="a"}'}
    [(pushed, failed)] = client.times().values()
    assert pushed == 0
    assert abs(failed - time.time()) < 5


def test_bytes_that_are_no_text_are_welcome_in_help(client: Client) -> None:
    assert client.put(JOB, b"# HELP m \xe9\nm 1\n") == 200
    client.connection.request("GET", "/metrics")
    assert b'm{instance="",job="a"} 1\n' in client.connection.getresponse().read()


# What is a group


@pytest.mark.parametrize("path", GROUPS)
def test_a_path_names_a_group(client: Client, path: str) -> None:
    assert client.put(path, b"m 1\n") == 200
    labels = ",".join(f'{name}="{value}"' for name, value in sorted(({"instance": ""} | GROUPS[path]).items()))
    assert list(client.times()) == [f"{{{labels}}}"]
    assert f"m{{{labels}}} 1" in client.lines()
    client.delete(path)
    assert client.page() == []


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
def test_other_answers(client: Client, method: str, path: str, status: int) -> None:
    assert client.send(method, path)[0] == status
    client.touched.clear()
    assert client.times() == {}


def test_a_redirect_says_where_to(client: Client) -> None:
    client.connection.request("PUT", "/metrics//job/%C3%A9/./x/a%20b/")
    answer = client.connection.getresponse()
    answer.read()
    assert answer.getheader("Location") == "/metrics/job/%C3%A9/x/a%20b/"


def test_a_405_says_what_is_allowed(client: Client) -> None:
    for path, allowed in {"/metrics": "GET, OPTIONS", JOB: "DELETE, OPTIONS, POST, PUT"}.items():
        for method in ("HEAD", "OPTIONS", "PATCH"):
            client.connection.request(method, path)
            answer = client.connection.getresponse()
            answer.read()
            assert answer.getheader("Allow") == allowed


# What pushes and deletions make of each other


def test_put_replaces_the_group_and_post_families_of_it(client: Client) -> None:
    client.put(JOB, b'm{x="1"} 1\nm{x="2"} 2\nn 3\n')
    client.put(JOB + "/y/1", b"n 4\n")
    assert client.post(JOB, b'm{x="3"} 5\no 6\n') == 200
    types = ["# TYPE m untyped", "# TYPE n untyped", "# TYPE o untyped"]
    assert client.page() == [*types, 'm{x="3"} 5', "n 3", 'n{y="1"} 4', "o 6"]
    assert client.put(JOB, b"o 7\n") == 200
    assert client.page() == [*types[1:], 'n{y="1"} 4', "o 7"]


def test_an_empty_post_only_renews_the_time_and_an_empty_put_empties_the_group(client: Client) -> None:
    client.put(JOB, b"m 1\n")
    [(first, _)] = client.times().values()
    assert client.post(JOB) == 200
    [(second, _)] = client.times().values()
    assert second > first
    assert client.page() == ["# TYPE m untyped", "m 1"]
    assert client.put(JOB) == 200
    [(third, _)] = client.times().values()
    assert third > second
    assert client.page() == []


def test_delete_removes_the_exact_group(client: Client) -> None:
    client.put(JOB, b"m 1\n")
    client.put(JOB + "/x/1", b"m 2\n")
    client.put(JOB + "/x/1/y/2", b"m 3\n")
    client.delete(JOB + "/x/1")
    client.delete(JOB + "/x/2")
    assert client.page() == ["# TYPE m untyped", "m 1", 'm{x="1",y="2"} 3']
    assert list(client.times()) == ['{instance="",job="a"}', '{instance="",job="a",x="1",y="2"}']


def test_the_order_of_labels_in_the_path_does_not_matter(client: Client) -> None:
    client.put(JOB + "/x/1/y/2", b"m 1\n")
    client.put(JOB + "/y/2/x/1", b"n 2\n")
    assert client.page() == ["# TYPE n untyped", 'n{x="1",y="2"} 2']


def test_a_failure_time_outlives_later_pushes(client: Client) -> None:
    assert client.put(JOB, b"m 1 2\n") == 400
    assert client.put(JOB, b"m 1\n") == 200
    [(pushed, failed)] = client.times().values()
    assert pushed > failed > 0
    assert client.put(JOB, b"m 1 2\n") == 400
    assert client.times().popitem()[1][1] > pushed
    client.delete(JOB)
    assert client.times() == {}


def test_a_failure_time_can_be_pushed_to_a_group_that_has_one(client: Client) -> None:
    client.put(JOB)
    body = b'# TYPE push_failure_time_seconds gauge\npush_failure_time_seconds{x="1"} 5\n'
    assert client.post(JOB, body) == 200
    assert 'push_failure_time_seconds{instance="",job="a",x="1"} 5' in client.lines()
    assert client.put(JOB) == 200
    assert 'push_failure_time_seconds{instance="",job="a",x="1"} 5' in client.lines()


def test_one_name_has_one_type_across_groups(client: Client) -> None:
    client.put(JOB, b"# TYPE m gauge\nm 1\n")
    assert client.put("/metrics/job/b", b"# TYPE m counter\nm 1\n") == 400
    assert client.put("/metrics/job/b", b"m 1\n") == 400
    assert client.put(JOB, b"# TYPE m counter\nm 1\n") == 200
    assert client.put("/metrics/job/b", b"# TYPE m counter\nm 1\n") == 200


def test_help_may_differ_across_groups(client: Client) -> None:
    client.put(JOB, b"# HELP m one\nm 1\n")
    assert client.put("/metrics/job/b", b"# HELP m two\nm 1\n") == 200
    assert client.put("/metrics/job/c", b"m 1\n") == 200
    assert client.page()[0] in ("# HELP m one", "# HELP m two", "# TYPE m untyped")


def test_no_two_groups_hold_one_series(client: Client) -> None:
    client.put(JOB, b'm{x="1"} 1\n')
    assert client.put(JOB + "/x/1", b"m 1\n") == 400
    assert client.put(JOB + "/x/2", b"m 1\n") == 200
    assert client.put(JOB + "/y/1", b'm{x="1"} 1\n') == 200
    assert client.put(JOB, b'm{x="1",y="1"} 1\n') == 400


def test_no_family_is_named_like_a_part_of_another_groups(client: Client) -> None:
    client.put(JOB, b"# TYPE h histogram\nh_sum 1\n# TYPE s summary\ns_sum 1\n")
    for part, status in {"h_sum": 400, "h_count": 400, "h_bucket": 400, "s_sum": 400, "s_bucket": 200}.items():
        assert client.put("/metrics/job/b", f"{part} 1\n".encode()) == status
    client.put("/metrics/job/c", b"i_bucket 1\n")
    assert client.put("/metrics/job/d", b"# TYPE i histogram\ni_sum 1\n") == 400
    assert client.put("/metrics/job/d", b"# TYPE i summary\ni_sum 1\n") == 200


def test_a_key_quantile_refuses_summaries_only(client: Client) -> None:
    assert client.put(JOB + "/quantile/1", b"# TYPE s summary\ns_sum 1\n") == 400
    assert client.put(JOB + "/quantile/1", b"# TYPE h histogram\nh_sum 1\n") == 200


def test_a_key_le_spoils_a_histogram(client: Client) -> None:
    assert client.put(JOB + "/le/x", b"# TYPE h histogram\nh_sum 1\n") == 200
    assert 'h_bucket{le="x",le="+Inf"} 0' in client.page()


# What travels


def test_unpacks_gzip(client: Client) -> None:
    packed = gzip.compress(b"m 1\n") + gzip.compress(b"n 2\n")
    assert client.put(JOB, packed, {"Content-Encoding": "gzip"}) == 200
    assert client.page() == ["# TYPE m untyped", "# TYPE n untyped", "m 1", "n 2"]
    assert client.put(JOB, packed) == 400
    for broken in (b"", b"m 1\n", packed[:5], gzip.compress(b"m 1")[:-9]):
        assert client.put(JOB, broken, {"Content-Encoding": "gzip"}) == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json"},
        {"Content-Type": "application/vnd.google.protobuf"},
        {"Content-Type": "nonsense"},
        {"Content-Encoding": "identity"},
    ],
)
def test_takes_other_headers_for_plain_text(client: Client, headers: dict[str, str]) -> None:
    assert client.put(JOB, b"m 1\n", headers) == 200
    assert client.page() == ["# TYPE m untyped", "m 1"]


def test_takes_chunks(client: Client) -> None:
    client.touched.add(JOB)
    for _ in range(2):  # the second on the same connection
        client.connection.request("PUT", JOB, iter([b"m", b" 1\n", b"n 2\n"]), encode_chunked=True)
        answer = client.connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
    assert client.page() == ["# TYPE m untyped", "# TYPE n untyped", "m 1", "n 2"]


def test_answers_many_requests_on_one_connection(client: Client) -> None:
    client.put(JOB, b"m 1\n")
    used = client.connection.sock
    for method, path in [("PUT", JOB), ("GET", "/nope"), ("HEAD", "/metrics"), ("PUT", "/nope"), ("DELETE", JOB)]:
        client.send(method, path, b"m 1\n" if method == "PUT" else b"")
    assert used is not None
    assert client.connection.sock is used
    client.touched.discard("/nope")


def talk(address: str, request: bytes, *, more: bool = False) -> bytes:
    """Send bytes, say no more unless there is more to come, and return what comes back until the gateway hangs up."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host.strip("[]"), int(port)), timeout=10) as connection:
        connection.sendall(request)
        if not more:
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"PUT %s HTTP/1.1", b"200"),
        (b"PUT %s HTTP/1.0", b"200"),
        ("PUT /metrics/job/é HTTP/1.1".encode(), b"200"),
        (b"PUT %s b HTTP/1.1", b"400"),
        (b"PUT", b"400"),
        (b"PUT %s HTTP/1.1\r\nContent-Length: -1", b"400"),
        (b"PUT %s HTTP/1.1\r\nContent-Length: x", b"400"),
        (b"PUT %s HTTP/1.1\r\nTransfer-Encoding: foo", b"501"),
    ],
)
def test_raw_requests(client: Client, request_line: bytes, status: bytes) -> None:
    client.touched |= {JOB, "/metrics/job/%C3%A9"}
    request = request_line.replace(b"%s", JOB.encode()) + b"\r\nHost: x\r\n\r\n"
    assert talk(client.address, request).split(b" ")[1] == status


def test_says_go_on_to_a_client_that_waits(client: Client) -> None:
    client.touched.add(JOB)
    head = b"PUT /metrics/job/a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    host, port = client.address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head)
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"m 1\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


def test_takes_pushes_at_once(client: Client) -> None:
    def push(worker: int) -> None:
        with connected(client.address) as mine:
            for count in range(10):
                assert mine.put(f"{JOB}/worker/{worker}", f"# TYPE m gauge\nm {count}\n".encode()) == 200

    workers = [threading.Thread(target=push, args=(worker,)) for worker in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    client.touched |= {f"{JOB}/worker/{worker}" for worker in range(8)}
    assert client.page() == ["# TYPE m gauge", *(f'm{{worker="{worker}"}} 9' for worker in range(8))]


def test_prometheus_client_pushes_its_whole_default_registry(client: Client) -> None:
    for push in (prometheus_client.push_to_gateway, prometheus_client.pushadd_to_gateway):
        push(client.address, "a/b", prometheus_client.REGISTRY, {"x": "é", "y": "", "z": "a b"})
    assert len(client.times()) == 1
    assert any(line.startswith("python_info{") for line in client.lines())
    prometheus_client.delete_from_gateway(client.address, "a/b", {"x": "é", "y": "", "z": "a b"})
    client.put("/metrics/job/last")
    assert client.times() == {}


def test_prometheus_scrapes_it(tmp_path: Path) -> None:
    histogram = b'# TYPE h histogram\nh_bucket{le="1"} 1\nh_count 2\nh_sum 3\n'
    with Gateway() as gateway, connected(gateway.address) as client, prometheus(tmp_path, gateway.address) as scraper:
        client.put(JOB, b'# HELP m \xff\n# TYPE m gauge\nm{x="\\"\\n"} 1.5\n')
        client.put("/metrics/job/b", b"# TYPE m gauge\nm 2\n" + histogram)
        samples = scraper.await_query('{__name__=~"m|h.*", job=~"a|b"}')
    found = [(labels["__name__"], labels["job"], float(labels.get("le", "0")), value) for labels, value in samples]
    assert sorted(found) == [
        ("h_bucket", "b", 1, 1),
        ("h_bucket", "b", math.inf, 2),
        ("h_count", "b", 0, 2),
        ("h_sum", "b", 0, 3),
        ("m", "a", 0, 1.5),
        ("m", "b", 0, 2),
    ]


# Where they differ on purpose: what breaks a real one for everyone is a 400 here, and leaves no trace.

POISON: dict[str, list[tuple[str, bytes]]] = {
    "a label that is not UTF-8": [("/metrics/job/%ff", b"m 1\n")],
    "a twin by an empty instance": [(JOB, b""), (JOB + "/instance/", b"")],
    "another type for the failure time": [
        (JOB, b""),
        (JOB, b"push_failure_time_seconds 1\n"),
        ("/metrics/job/b", b"m 1 2\n"),
    ],
}


@pytest.mark.parametrize("name", POISON)
def test_stays_healthy(name: str) -> None:
    with Gateway() as gateway, connected(gateway.address) as client:
        statuses = [client.put(path, body) for path, body in POISON[name]]
        assert statuses[-1] == 400
        assert client.put("/metrics/job/healthy", b"m 1\n") == 200
        assert 'm{instance="",job="healthy"} 1' in client.lines()


@pytest.mark.parametrize("name", POISON)
@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_real_one_does_not(generation: Generation, name: str, tmp_path: Path) -> None:
    with of_known_version(tmp_path, generation) as real, connected(real.address) as client:
        for path, body in POISON[name]:
            client.put(path, body)
        client.put("/metrics/job/healthy", b"m 1\n")
        status, page = client.send("GET", "/metrics")
        assert status == 500 or 'job="healthy"' not in page


def test_a_bad_base64_job_hangs_the_old_one_only(tmp_path: Path) -> None:
    with Gateway() as gateway, connected(gateway.address) as client:
        assert client.put("/metrics/job@base64/Y") == 400
        assert client.put("/metrics/job@base64/YQ") == 200
    with of_known_version(tmp_path, "old") as real, connected(real.address) as client:
        assert client.put("/metrics/job@base64/Y") == 400
        assert client.connection.sock is not None
        client.connection.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.put("/metrics/job@base64/YQ")


CUT = {
    "by length": b"Content-Length: 100\r\n\r\nm 1\n",
    "between chunks": b"Transfer-Encoding: chunked\r\n\r\n4\r\nm 1\n\r\n",
    "a bad chunk": b"Transfer-Encoding: chunked\r\n\r\n4\r\nm 1\n\r\nx\r\n",
    "gzip": b"Content-Length: 10\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"m 1\n")[:10],
}


@pytest.mark.parametrize("name", CUT)
def test_only_the_old_one_takes_a_body_cut_at_the_end_of_a_line(client: Client, kind: str, name: str) -> None:
    client.touched.add(JOB)
    request = b"PUT /metrics/job/a HTTP/1.1\r\nHost: x\r\n" + CUT[name]
    assert talk(client.address, request).split(b" ")[1] == (b"200" if kind == "old" else b"400")
    assert bool(client.times()) == (kind == "old")


def test_refuses_protobuf() -> None:
    kind = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
    with Gateway() as gateway, connected(gateway.address) as client:
        assert client.send("PUT", JOB, b"", {"Content-Type": kind}) == (415, "no protobuf here: push the text format\n")


def test_refuses_silly_sizes() -> None:
    huge = b"# " + b"x" * 2**26 + b"\n"
    with Gateway() as gateway, connected(gateway.address) as client:
        assert client.put(JOB, gzip.compress(huge, 1), {"Content-Encoding": "gzip"}) == 413
        for size in (b"Content-Length: 99999999", b"Transfer-Encoding: chunked\r\n\r\n9999999"):
            answer = talk(gateway.address, b"PUT /metrics/job/a HTTP/1.1\r\n" + size + b"\r\n\r\n", more=True)
            assert answer.split(b" ")[1] == b"413"


# The Python interface and the command


def test_starts_empty_and_stops_for_good() -> None:
    gateway = Gateway("127.0.0.1:0")
    threads = threading.active_count()
    with gateway:
        client = Client(gateway.address)
        assert gateway.url == f"http://{gateway.address}"
        client.put(JOB, b"m 1\n")
        assert 'm{instance="",job="a"} 1' in gateway.metrics()
        with pytest.raises(RuntimeError, match="running"):
            gateway.start()
        address = gateway.address
        slow = socket.create_connection(("127.0.0.1", int(address.split(":")[1])))
    assert threading.active_count() == threads
    with slow, suppress(ConnectionResetError):
        assert slow.recv(1) == b""
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        client.put(JOB)
    client.connection.close()
    gateway.stop()
    with gateway:
        assert gateway.address == address
        assert "job=" not in gateway.metrics()


def test_says_what_it_is() -> None:
    with Gateway() as gateway, connected(gateway.address) as client:
        status, page = client.send("GET", "/")
        assert status == 200
        assert "in memory" in page
        assert 'pushgateway_build_info{version="gangplank ' in gateway.metrics()


def test_listens_on_ipv6() -> None:
    with Gateway("[::1]:0") as gateway:
        assert gateway.address.startswith("[::1]:")
        assert b"200 OK" in talk(gateway.address, b"GET /-/ready HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize(
    "address", ["", "9091", ":9091", "127.0.0.1", "127.0.0.1:x", "::1:9091", "a:65536", "http://a:1"]
)
def test_refuses_a_malformed_address(address: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        Gateway(address)


def test_does_not_share_a_port() -> None:
    with Gateway() as gateway, pytest.raises(OSError, match="in use"):
        Gateway(gateway.address).start()


def test_answers_when_no_thread_can_start_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with Gateway() as gateway:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        assert (
            talk(gateway.address, b"PUT /metrics/job/a HTTP/1.0\r\nContent-Length: 4\r\n\r\nm 1\n").split()[1] == b"200"
        )


def command(*arguments: str) -> subprocess.Popen[str]:
    """Start the verb as the command line does."""
    script = (
        "import argparse, sys; from gangplank.cli import gateway; parser = argparse.ArgumentParser();"
        "gateway.add(parser.add_subparsers()); arguments = parser.parse_args(); sys.exit(arguments.run(arguments))"
    )
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script, "gateway", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": ""},
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_the_command_serves_until_it_is_stopped(number: signal.Signals, host: str) -> None:
    with command("--listen", f"{host}:0") as process:
        assert process.stdout is not None
        said = "".join(process.stdout.readline() for _ in range(3))
        match = re.search(rf"http://({re.escape(host)}:\d+)/metrics", said)
        assert match
        assert talk(match[1], b"PUT /metrics/job/a HTTP/1.0\r\nContent-Length: 4\r\n\r\nm 1\n").split(b" ")[1] == b"200"
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "in memory, for laptops and tests" in said
    assert "Ctrl-C" in said
    assert (out, err) == ("", "")


def test_the_command_says_why_it_cannot() -> None:
    with Gateway() as gateway:
        for address, code, reason in (
            (gateway.address, 1, "Address already in use"),
            ("nonsense", 2, "write HOST:PORT, as in 127.0.0.1:9091 or [::1]:9091"),
        ):
            with command("--listen", address) as process:
                out, err = process.communicate(timeout=10)
            assert process.returncode == code
            assert (out, err) == ("", f"gangplank gateway: cannot listen on {address!r}: {reason}\n")


# Anything at all

NAMES = ["m", "m_sum", "m_count", "m_bucket", "m_sum_sum", "n", "go_goroutines", "push_time_seconds"]
KINDS = ["counter", "gauge", "summary", "histogram", "untyped", "GAUGE", "foo"]
LABELS = ["", "{}", '{x="1"}', '{x="2"}', '{le="1"}', '{le="+Inf"}', '{quantile="0.5"}', '{x="1",le="1"}', '{job="b"}']
LABELS += ['{instance="i"}', '{x="1",}', '{ y = "\\n" , x="1" }', '{x="1",x="2"}', '{le="a"}', '{__x="1"}', '{x=""}']
VALUES = ["1", "2", "0", "1", "2.5", "-1", "NaN", "+Inf", "1e6", "x", "1 5", "1e400", "0x1p1", " 1"]
NOISE = [
    " ",
    "\t",
    "\n",
    "\r",
    '"',
    "\\",
    "{",
    "}",
    ",",
    "=",
    "#",
    "_",
    "-",
    "+",
    ".",
    "1",
    "a",
    "e",
    "\x00",
    "é",
    "m 1\n",
]

SAMPLES = st.builds("{}{} {}\n".format, *map(st.sampled_from, (NAMES, LABELS, VALUES)))
TYPES = st.builds("# TYPE {} {}\n".format, *map(st.sampled_from, (NAMES, KINDS)))
HELPS = st.builds("# HELP {} {}\n".format, st.sampled_from(NAMES), st.sampled_from(["", "a", r"a\n", r"\x", " a "]))
LINES = st.one_of(SAMPLES, SAMPLES, TYPES, HELPS, st.sampled_from(["\n", "# x\n", " "]))
CUTS = st.tuples(st.integers(0, 200), st.integers(0, 3), st.sampled_from(["", *NOISE]))
PATHS = [JOB, JOB + "/x/1", JOB + "/y@base64/Mg", "/metrics/job/b", JOB + "/le/1", JOB + "/quantile/1", JOB + "/x"]


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Draw a body: lines that make some sense, at times with a few characters replaced."""
    body = "".join(draw(st.lists(LINES, max_size=6)))
    for start, length, new in draw(st.one_of(st.just([]), st.lists(CUTS, max_size=2))):
        at = start % (len(body) + 1)
        body = body[:at] + new + body[at + length :]
    # The newer one takes a line without a name for another sample of the line before it.
    return re.sub(r"^([ \t]*){", r"\1m{", body, flags=re.MULTILINE).encode()


REQUESTS = st.tuples(st.sampled_from(["PUT", "POST", "POST", "PUT", "DELETE"]), st.sampled_from(PATHS), bodies())


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Client]]:
    """A client of the embedded gateway, and one of the real one that it follows."""
    with (
        Gateway() as gateway,
        of_known_version(tmp_path_factory.mktemp("pair"), "new") as real,
        connected(gateway.address) as one,
        connected(real.address) as other,
    ):
        yield one, other


# The same 400 examples each time; `GATEWAY_EXAMPLES=20000` looks for new ones.
@settings(
    max_examples=int(os.environ.get("GATEWAY_EXAMPLES", "400")),
    derandomize="GATEWAY_EXAMPLES" not in os.environ,
    deadline=None,
)
@given(requests=st.lists(REQUESTS, min_size=1, max_size=4))
def test_both_do_the_same(pair: tuple[Client, Client], requests: list[tuple[str, str, bytes]]) -> None:
    outcomes = []
    for client in pair:
        for path in PATHS:
            client.send("DELETE", path)
        statuses = [client.send(*request)[0] for request in requests]
        client.put("/metrics/job/last")  # so that the real one is done with what it was told
        times = {labels: (pushed > 0, failed > 0) for labels, (pushed, failed) in client.times().items()}
        outcomes.append((statuses, [line for line in client.page() if not line.startswith("# HELP")], times))
    assert outcomes[0] == outcomes[1]
