"""Where the embedded gateway and the real ones differ on purpose."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from gangplank.testing.gateway import Gateway
from support.gateway_client import GENERATIONS, JOB, Client, connected, of_known_version, talk
from support.servers import Generation

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
        assert client.send("PUT", JOB, b"", {"Content-Type": kind}) == (
            415,
            "protobuf is not supported: push the text format\n",
        )


def test_refuses_silly_sizes() -> None:
    huge = b"# " + b"x" * 2**26 + b"\n"
    with Gateway() as gateway, connected(gateway.address) as client:
        assert client.put(JOB, gzip.compress(huge, 1), {"Content-Encoding": "gzip"}) == 413
        for size in (b"Content-Length: 99999999", b"Transfer-Encoding: chunked\r\n\r\n9999999"):
            answer = talk(gateway.address, b"PUT /metrics/job/a HTTP/1.1\r\n" + size + b"\r\n\r\n", more=True)
            assert answer.split(b" ")[1] == b"413"
