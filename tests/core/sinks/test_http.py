"""One request, one deadline: against servers that answer, drip, hang, redirect or talk nonsense."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from gangplank.core.sinks import address as addresses
from gangplank.core.sinks.credentials import Access
from gangplank.core.sinks.http import BEGINNING, request

Talk = Callable[[socket.socket], None]


@contextlib.contextmanager
def serving(talk: Talk, host: str = "127.0.0.1") -> Iterator[str]:
    """Accept connections one after another, have each talked to, and yield the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    with peer, contextlib.suppress(OSError):
                        talk(peer)

        thread = threading.Thread(target=accept)
        thread.start()
        port = listener.getsockname()[1]
        try:
            yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)
    assert not thread.is_alive()


def read_request(peer: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += peer.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += peer.recv(65536)
    return head + b"\r\n\r\n" + body


def put(address: str, body: bytes = b"x 1\n", timeout: float = 5.0) -> tuple[int, str]:
    parsed = addresses.parse(address)
    response = request(
        "PUT", parsed, "/metrics/job/a", access=Access(), body=body, headers={"X-A": "b"}, timeout=timeout
    )
    return response.status, response.body.decode()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_request_goes_out_whole_and_the_answer_comes_back(host: str) -> None:
    seen: list[bytes] = []

    def talk(peer: socket.socket) -> None:
        seen.append(read_request(peer))
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nwhy")

    body = b"x" * 5_000_000
    with serving(talk, host) as address:
        assert put(f"{address}/prefix/", body) == (400, "why")
    head, _, sent = seen[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "PUT /prefix/metrics/job/a HTTP/1.1"
    assert f"Host: {address}" in lines
    assert "X-A: b" in lines
    assert sent == body


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_answer_that_ends_with_the_connection_is_read_to_its_end(version: str) -> None:
    def talk(peer: socket.socket) -> None:
        read_request(peer)
        peer.sendall(f"HTTP/{version} 400 Bad Request\r\nConnection: close\r\n\r\n".encode())
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        time.sleep(0.05)  # the body comes after who asked has read the head
        peer.sendall(b"why")

    with serving(talk) as address:
        assert put(address) == (400, "why")


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    asked: list[bytes] = []

    def talk(peer: socket.socket) -> None:
        asked.append(read_request(peer))
        peer.sendall(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")

    with serving(talk) as address:
        assert put(address) == (302, "")
    assert len(asked) == 1


def test_no_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)

    def talk(peer: socket.socket) -> None:
        read_request(peer)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with serving(talk) as address:
        assert put(address) == (200, "")


def hang(peer: socket.socket) -> None:
    while peer.recv(65536):
        pass


def drip(line: bytes) -> Talk:
    def talk(peer: socket.socket) -> None:
        peer.sendall(line)
        while True:  # a byte now and then, for as long as somebody listens
            peer.sendall(b"a")
            time.sleep(0.02)

    return talk


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(hang, id="hangs"),
        pytest.param(drip(b""), id="drips the status"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\nX-A: "), id="drips a header"),
        pytest.param(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n"), id="drips the body"),
    ],
)
def test_one_deadline_holds_for_everything(talk: Talk) -> None:
    with serving(talk) as address:
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            put(address, timeout=0.3)
        assert 0.25 <= time.monotonic() - start < 0.8


def test_the_deadline_holds_while_a_peer_takes_nothing() -> None:
    release = threading.Event()

    def talk(peer: socket.socket) -> None:
        release.wait(10)

    with serving(talk) as address:
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            put(address, b"x" * 50_000_000, timeout=0.3)
        assert time.monotonic() - start < 0.8
        release.set()


def test_a_handshake_that_hangs_keeps_to_the_deadline() -> None:
    with serving(hang) as address:
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            put(f"https://{address}", timeout=0.3)
        assert time.monotonic() - start < 0.8


def test_the_next_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def talk(peer: socket.socket) -> None:
        read_request(peer)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with serving(talk) as address:
        port = int(address.rpartition(":")[2])
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("127.0.0.2", "127.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert put(f"gateway:{port}") == (200, "")


@pytest.mark.parametrize(
    ("answer", "error"),
    [(b"", OSError), (b"nonsense\r\n\r\n", http.client.HTTPException), (b"HTTP/1.1 200 OK\r\n", OSError)],
)
def test_what_is_no_answer_is_an_error(answer: bytes, error: type[Exception]) -> None:
    def talk(peer: socket.socket) -> None:
        read_request(peer)
        peer.sendall(answer)

    with serving(talk) as address, pytest.raises((OSError, http.client.HTTPException)) as raised:
        put(address)
    assert isinstance(raised.value, error | http.client.HTTPException)


@pytest.mark.parametrize(
    "rest",
    [b"Content-Length: 9\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n9\r\nhalf"],
    ids=["a length", "a chunk"],
)
def test_half_a_body_is_an_error_unless_it_is_a_reason(rest: bytes) -> None:
    status = [b"200 OK"]

    def talk(peer: socket.socket) -> None:
        read_request(peer)
        peer.sendall(b"HTTP/1.1 " + status[0] + b"\r\n" + rest)

    with serving(talk) as address:
        with pytest.raises(http.client.HTTPException, match="ends within its body"):
            put(address)
        status[0] = b"400 Bad Request"
        assert put(address)[0] == 400


def test_no_more_is_read_than_the_beginning() -> None:
    def talk(peer: socket.socket) -> None:
        read_request(peer)
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"why " * BEGINNING)

    with serving(talk) as address:
        assert put(address) == (400, "why " * (BEGINNING // 4))


def test_a_refused_connection_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        put(f"127.0.0.1:{port}")


def test_plain_text_where_tls_is_asked_for_is_an_error() -> None:
    def talk(peer: socket.socket) -> None:
        peer.recv(10)
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(talk) as address, pytest.raises(ssl.SSLError):
        put(f"https://{address}")
