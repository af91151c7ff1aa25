"""The verbs that read a server, and servers that drip, never end, end too early, or are not what was asked for."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from gangplank.cli import main
from gangplank.cli.installed import adapters
from gangplank.cli.remote import client
from gangplank.cli.remote.gateway import GatewayClient
from gangplank.core.sinks.http import BEGINNING
from support import proxy as proxies
from support.proxy import Proxy, proxying, read_request
from support.verbs import BUILD_INFO, gangplank, served

VERBS = [
    ["show", "{}"],
    ["show", "{}", "--json"],
    ["delete", "{}", "--job", "a", "--yes"],
    ["prune", "{}", "--older-than", "1s", "--yes"],
    ["watch", "{}", "--once"],
    ["doctor", "{}"],
    ["doctor", "--prometheus", "http://{}"],
    ["watch", "--prometheus", "http://{}", "--once"],
]
LOGIN = "<!DOCTYPE html><html><title>Log in</title></html>"


@pytest.fixture(autouse=True)
def _frameworks_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "_problem", lambda adapter: "")


def endless(*pieces: bytes) -> proxies.Behaviour:
    """Return what sends the first piece, and then the second one for as long as anybody listens."""
    head, piece = pieces

    def behaviour(peer: socket.socket, proxy: Proxy) -> None:
        read_request(peer)
        peer.sendall(head)
        while not proxy.stopping.wait(0.01 if len(piece) == 1 else 0):
            peer.sendall(piece)

    return behaviour


def said(verb: list[str], behaviour: proxies.Behaviour, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a verb prints that fails."""
    with proxying(0, behaviour) as proxy:
        assert main([argument.format(proxy.address) for argument in verb]) == 1
    printed = capsys.readouterr()
    return printed.out + printed.err


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
        b"HTTP/1.1 401 No\r\nContent-Length: 1000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n",
    ],
    ids=["status", "header", "body", "sized body", "error", "chunk"],
)
def test_one_that_drips_is_given_up_at_the_deadline(
    verb: list[str], head: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.PAGE_TIMEOUT == 30
    monkeypatch.setattr(client, "PAGE_TIMEOUT", 0.2)
    assert "did not answer within 0.2 s" in said(verb, endless(head, b"a"), capsys)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
@pytest.mark.parametrize("head", [b"\r\n", b"Content-Length: 999999999999\r\n\r\n"], ids=["no length", "a length"])
def test_one_that_never_ends_is_given_up_at_a_size(
    verb: list[str], head: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.LARGEST_PAGE == 256 * 2**20
    monkeypatch.setattr(client, "LARGEST_PAGE", 2**20)
    sent = [0]

    def behaviour(peer: socket.socket, proxy: Proxy) -> None:
        read_request(peer)
        peer.sendall(b"HTTP/1.1 200 OK\r\n" + head)
        while True:
            sent[0] += peer.send(b"a" * 65536)

    assert "answers with more than 1 MiB" in said(verb, behaviour, capsys)
    assert sent[0] < 50 * 2**20  # the system holds some on either side


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
@pytest.mark.parametrize(
    "answer",
    [
        f"Content-Length: 1000\r\n\r\n{BUILD_INFO}",
        f"Transfer-Encoding: chunked\r\n\r\n100\r\n{BUILD_INFO}",
        f"Transfer-Encoding: chunked\r\n\r\n{len(BUILD_INFO):x}\r\n{BUILD_INFO}\r\n",
    ],
    ids=["a length", "a chunk", "no last chunk"],
)
def test_one_that_ends_within_its_body_is_not_believed(
    verb: list[str], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page that lacks its end lacks groups: whoever reads it would say that they are gone."""

    def behaviour(peer: socket.socket, proxy: Proxy) -> None:
        read_request(peer)
        peer.sendall(f"HTTP/1.1 200 OK\r\n{answer}".encode())

    assert "the response ends within its body" in said(verb, behaviour, capsys)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
@pytest.mark.parametrize(
    "behaviour",
    [
        proxies.resets_the_request,
        proxies.answers("nonsense"),
        proxies.answers("200 OK", LOGIN, "Content-Type: text/html"),
        proxies.answers("200 OK", "", "Date: Fri, 31 Dec 99999 23:59:59 GMT"),
        proxies.answers("302 Found", "", "Location: http://127.0.0.1:1/"),
        endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 100),
        endless(b"HTTP/1.1 200 ", b"y" * 10_000),
    ],
    ids=["a reset", "nonsense", "a login page", "no date", "a redirect", "headers", "a line"],
)
def test_one_that_is_something_else_is_one_line(
    verb: list[str], behaviour: proxies.Behaviour, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(said(verb, behaviour, capsys).strip().splitlines()) == 1 or verb[0] == "doctor"


def test_a_page_as_large_as_that_of_many_runs_is_read() -> None:
    text = BUILD_INFO + "x 1\n" * 20_000_000
    with served(lambda *_: (200, {}, text)) as (address, _):
        assert GatewayClient(address).page().text == text


def test_a_login_page_is_called_one(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in VERBS[:5]:
        printed = said(verb, proxies.answers("200 OK", LOGIN), capsys)
        assert "is not a Pushgateway (is a proxy or a login page in front of it?)" in printed


@pytest.mark.parametrize("answer", [(200, {}, LOGIN), (202, {"Content-Type": "text/html"}, "")])
def test_a_login_page_has_deleted_nothing(answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    page = BUILD_INFO + 'push_time_seconds{instance="",job="a"} 5\n'
    with served(lambda method, path: (200, {}, page) if method == "GET" else answer) as (address, _):
        assert gangplank("delete", address, "--job", "a", "--yes") == 1
    printed = capsys.readouterr()
    assert f"answered {answer[0]} with a page of its own (is a proxy or a login page in front of it?)" in printed.err
    assert printed.out.endswith("Deleted nothing.\n")


def test_nothing_is_read_after_a_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    """What a server says beyond the beginning of a refusal is not waited for."""
    printed = said(VERBS[0], endless(b"HTTP/1.1 500 No\r\n\r\n" + b"why " * BEGINNING, b"a"), capsys)
    assert "answered 500: why why" in printed
