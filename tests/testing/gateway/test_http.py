"""What travels: encodings, headers, connections and whole clients."""

from __future__ import annotations

import gzip
import math
import socket
import threading
import time
from pathlib import Path

import prometheus_client
import pytest

from gangplank.testing.gateway import Gateway
from support.gateway_client import JOB, Client, connected, talk
from support.servers import prometheus


def test_unpacks_gzip(client: Client) -> None:
    packed = gzip.compress(b"m 1\n") + gzip.compress(b"n 2\n")
    assert client.put(JOB, packed, {"Content-Encoding": "gzip"}) == 200
    assert client.page() == ["# TYPE m untyped", "# TYPE n untyped", "m 1", "n 2"]
    assert client.put(JOB, gzip.compress(b""), {"Content-Encoding": "gzip"}) == 200
    assert client.page() == []
    assert client.put(JOB, packed) == 400
    for broken in (b"", b"m 1\n", packed[:5], gzip.compress(b"m 1")[:-9]):
        assert client.put(JOB, broken, {"Content-Encoding": "gzip"}) == 400


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(gzip.compress(b"") * 200_000, {"Content-Encoding": "gzip"}, id="empty members"),
        pytest.param(gzip.compress(b"\n") * 150_000, {"Content-Encoding": "gzip"}, id="small members"),
        pytest.param(b"1\r\n\n\r\n" * 200_000 + b"0\r\n\r\n", {"Transfer-Encoding": "chunked"}, id="small chunks"),
        pytest.param(b"m " + b"9" * 20_000 + b"x\n", {}, id="a number that ends badly"),
    ],
)
def test_whatever_a_body_is_it_takes_linear_time(body: bytes, headers: dict[str, str]) -> None:
    with Gateway() as gateway:
        length = {} if headers.get("Transfer-Encoding") else {"Content-Length": str(len(body))}
        lines = [f"{name}: {value}\r\n" for name, value in {**headers, **length}.items()]
        start = time.perf_counter()
        said = talk(gateway.address, f"PUT {JOB} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + body)
        assert said.startswith(b"HTTP/1.1 ")
        assert time.perf_counter() - start < 6


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
