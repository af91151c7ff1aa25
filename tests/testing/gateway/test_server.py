"""The embedded gateway's Python interface, and its command."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from gangplank.testing.gateway import Gateway, handler
from support.gateway_client import JOB, Client, connected, talk
from support.reading import eventually


def test_starts_empty_and_stops_for_good() -> None:
    gateway = Gateway("127.0.0.1:0")
    threads = set(threading.enumerate())
    with gateway:
        client = Client(gateway.address)
        assert gateway.url == f"http://{gateway.address}"
        client.put(JOB, b"m 1\n")
        assert 'm{instance="",job="a"} 1' in gateway.metrics()
        with pytest.raises(RuntimeError, match="running"):
            gateway.start()
        address = gateway.address
        slow = socket.create_connection(("127.0.0.1", int(address.split(":")[1])))
    assert set(threading.enumerate()) <= threads
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


REQUEST = b"GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n"
BEGINNINGS = {
    "nothing": b"",
    "a part of a line": REQUEST[:5],
    "a part of the headers": REQUEST[:-2],
    "a part of the body": b"PUT /metrics/job/a HTTP/1.1\r\nContent-Length: 100\r\n\r\nm 1\n",
    "a part of a chunk": b"PUT /metrics/job/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nm 1\n",
    "a part of the trailers": b"PUT /metrics/job/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na: b\r\n",
    "a request": REQUEST,
    "two requests, and a part of one": REQUEST + REQUEST + REQUEST[:9],
}


def host_and_port(gateway: Gateway) -> tuple[str, int]:
    host, port = gateway.address.split(":")
    return host, int(port)


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("drips", [False, True])
def test_a_client_that_says_no_more_is_let_go(drips: bool, beginning: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert handler.IDLE > 60
    assert 10 <= handler.REQUEST <= 100
    monkeypatch.setattr(handler, "IDLE", 0.3)
    monkeypatch.setattr(handler, "REQUEST", 0.3)
    before = set(threading.enumerate())
    with Gateway() as gateway, socket.create_connection(host_and_port(gateway), timeout=0.05) as client:

        def is_let_go() -> bool:
            try:
                if drips:
                    client.sendall(b"x")
                return not client.recv(100_000)
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        client.sendall(BEGINNINGS[beginning])
        eventually(is_let_go)
        eventually(lambda: len(set(threading.enumerate()) - before) == 1)


def test_a_client_that_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler, "ANSWER", 0.3)
    before = set(threading.enumerate())
    with Gateway() as gateway, socket.socket() as slow:
        with connected(gateway.address) as client:
            assert client.put(JOB, b'm{a="' + b"x" * 8_000_000 + b'"} 1\n') == 200
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        slow.connect(host_and_port(gateway))
        slow.sendall(REQUEST.replace(b"/-/ready", b"/metrics"))
        slow.settimeout(10)
        assert slow.recv(1) == b"H"
        eventually(lambda: len(set(threading.enumerate()) - before) == 1)


def test_a_client_may_rest_between_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler, "REQUEST", 0.2)
    with Gateway() as gateway, connected(gateway.address) as client:
        assert client.put(JOB) == 200
        used = client.connection.sock
        time.sleep(0.4)
        assert client.put(JOB) == 200
        assert client.connection.sock is used


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
