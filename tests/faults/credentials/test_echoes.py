"""Peers that repeat the credentials that they were sent: a proxy that shows a request in its error, a page with one."""

from __future__ import annotations

import base64
import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from prometheus_client.exposition import basic_auth_handler

import gangplank
from gangplank import DeliveryError
from gangplank.cli import main
from gangplank.cli.doctor import probe
from gangplank.cli.installed import adapters
from support.credentials import authorization, environment, push
from support.escaping import ESCAPED
from support.proxy import Behaviour, Proxy, proxying, read_request
from support.reading import eventually
from support.verbs import BUILD_INFO

PASSWORD = 'c&n"a<r y/ü'  # noqa: S105  the test's own
TOKEN = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
SECRETS = {
    "the header": f"Basic {TOKEN}",
    "the token": TOKEN,
    "the token without padding": TOKEN.rstrip("="),
    "the token, URL-safe": base64.urlsafe_b64encode(f"me:{PASSWORD}".encode()).decode(),
    "user and password": f"me:{PASSWORD}",
    "the password": PASSWORD,
}


def tells(text: str) -> bool:
    """Return whether a text has a secret, whole or its first characters, in any form."""
    secrets = [*SECRETS.values(), PASSWORD[:7], TOKEN[:8]]
    return any(escaped(secret) in text for secret in secrets for escaped in ESCAPED.values())


def answering(answer: Callable[[str], str]) -> Behaviour:
    """Return what answers with a text that is made of the `Authorization` header that came, or of nothing."""

    def behaviour(peer: Any, proxy: Proxy) -> None:
        headers = authorization(read_request(peer))
        peer.sendall(answer(headers[0] if headers else "").encode())

    return behaviour


def refusing(body: str, status: str = "502 Bad Gateway", *, length: int = 0) -> str:
    return f"HTTP/1.1 {status}\r\nContent-Length: {length or len(body.encode())}\r\n\r\n{body}"


@contextlib.contextmanager
def in_front(answer: Callable[[str], str]) -> Iterator[str]:
    """Run a proxy that answers; yields an address with the credentials."""
    with proxying(0, answering(answer)) as proxy:
        yield f"http://me:{quote(PASSWORD, safe='')}@{proxy.address}"


def said_of_a_push(address: str, caplog: pytest.LogCaptureFixture, **options: Any) -> str:
    """Push, as a strict run and as one that logs; return all that is said."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(DeliveryError) as raised:
        push(address, **options)
    run = gangplank.run(address, "digits", flush_timeout=0, **options)
    run.record({"loss": 0.5}, epoch=0)
    run.finish()
    eventually(lambda: "did not arrive" in caplog.text)
    return f"{raised.value} {raised.value!r} {raised.value.__cause__!r} {raised.value.__context__!r} {caplog.text}"


# What a push says


@pytest.mark.parametrize("escaped", ESCAPED.values(), ids=ESCAPED)
def test_a_push_repeats_no_secret_of_a_refusal(escaped: Callable[[str], str], caplog: pytest.LogCaptureFixture) -> None:
    for secret in SECRETS.values():
        with in_front(lambda header, secret=secret: refusing(f"got [{escaped(secret)}]")) as address:  # type: ignore[misc]
            with pytest.raises(DeliveryError, match=r"answered 502: got \[\*\*\*=*\]") as raised:
                push(address)
            assert not tells(f"{raised.value!r}")
    assert not tells(caplog.text)


ANSWERS: dict[str, Callable[[str], str]] = {
    "an error": lambda header: refusing(f"{header} is not known to us"),
    "an error, decoded": lambda header: refusing(base64.b64decode(header[6:]).decode() if header else ""),
    "an error of JSON": lambda header: refusing('{"headers": {"authorization": ["' + header + '"]}}'),
    "an error that the limit of a line cuts": lambda header: refusing("x" * 180 + header),
    "an error that the limit of a body cuts": lambda header: refusing("x" + " " * (4_096 - 15) + header),
    "an error that ends early": lambda header: refusing(f"x {header}"[:-3], length=1000),
    "a login page": lambda header: refusing(f"<html>{header}</html>", "200 OK"),
    "a status line": lambda header: f"{header}\r\n\r\n",
    "a protocol": lambda header: f"HTTP/{header}\r\n\r\n",
    "a status": lambda header: f"HTTP/1.1 {header} \r\n\r\n",
    "a size of a chunk": lambda header: f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{header}\r\n",
    "a Content-Length": lambda header: f"HTTP/1.1 400 No\r\nContent-Length: {header}\r\n\r\n",
    "a Retry-After": lambda header: f"HTTP/1.1 400 No\r\nRetry-After: {header}\r\nContent-Length: 0\r\n\r\n",
    "too many headers": lambda header: "HTTP/1.1 200 OK\r\n" + f"X: {header}\r\n" * 200 + "\r\n",
    "a line that is too long": lambda header: f"HTTP/1.1 200 {header * 5000}\r\n\r\n",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("way", ["the address", "a pair", "a header", "the environment"])
def test_a_push_repeats_no_secret_whatever_is_answered(
    answer: Callable[[str], str], way: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_front(answer) as address:
        bare = address.rpartition("@")[2]
        options: dict[str, Any] = {}
        if way == "a pair":
            options["credentials"] = lambda: ("me", PASSWORD)
        elif way == "a header":
            options["credentials"] = lambda: f"Basic {TOKEN}"
        elif way == "the environment":
            environment(monkeypatch, host=bare, username="me", password=PASSWORD)
        assert not tells(said_of_a_push(address if way == "the address" else bare, caplog, **options))


@pytest.mark.parametrize("answer", [ANSWERS[name] for name in ("an error", "an error, decoded", "a status line")])
def test_a_handler_of_prometheus_client_repeats_no_secret(
    answer: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    def handler(url: str, method: str, timeout: float | None, headers: list[Any], data: bytes) -> Callable[[], None]:
        return basic_auth_handler(url, method, timeout, headers, data, "me", PASSWORD)

    for one in (handler, functools.partial(basic_auth_handler, username="me", password=PASSWORD)):
        with in_front(answer) as address:
            assert not tells(said_of_a_push(address.rpartition("@")[2], caplog, handler=one))


@pytest.mark.parametrize("error", [OSError, ValueError, functools.partial(DeliveryError, reason="rejected")])
def test_what_a_handler_of_the_users_raises_shows_no_header(error: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Gangplank does not know what such a handler sends, but what a header with credentials looks like."""

    def handler(url: str, method: str, timeout: float | None, headers: list[Any], data: bytes) -> Callable[[], None]:
        def send() -> None:
            raise error(f"no answer to {{'Authorization': 'Basic {TOKEN}'}}")

        return send

    said = said_of_a_push("gateway:1", caplog, handler=handler)
    assert not tells(said)
    assert "no answer to {'Authorization': '***'}" in said


@pytest.mark.parametrize("password", ["e", "401"])
def test_a_very_short_password_withholds_what_was_answered(password: str, caplog: pytest.LogCaptureFixture) -> None:
    for body in ("the user me", "the password 401"):
        with proxying(0, answering(lambda _, body=body: refusing(body))) as proxy:  # type: ignore[misc]
            said = said_of_a_push(f"http://me:{password}@{proxy.address}", caplog)
        assert "answered 502: (text withheld, since it may contain the credentials)" in said
        assert body not in said


# What the command line says


PAGES: dict[str, Callable[[str], str]] = {
    "an error": ANSWERS["an error, decoded"],
    "a status line": ANSWERS["a status line"],
    "a page that is none": lambda header: refusing(f"{BUILD_INFO}gangplank_x{{}} {header}\n", "200 OK"),
    "a version": lambda header: refusing(f'pushgateway_build_info{{version="{header}"}} 1\n', "200 OK"),
    "a job": lambda header: refusing(page(header), "200 OK"),
    "a job, decoded": lambda header: refusing(page(json_escaped(base64.b64decode(header[6:]).decode())), "200 OK"),
    "a job, percent-encoded": lambda header: refusing(page(quote(header, safe="")), "200 OK"),
    "a label twice": lambda header: refusing(page('", le="1", x="' + header, 'le="2",'), "200 OK"),
    "a Prometheus": lambda header: refusing(
        '{"data": {"version": "' + header + '", "activeTargets": [{"scrapeUrl": "http://127.0.0.1:1", "scrapePool": "'
        f'{header}", "lastError": "{header}"'
        "}]}}",
        "200 OK",
    ),
}


def page(job: str, more: str = "") -> str:
    """Return the page of a gateway with one run, whose job, state and a label are as given."""
    labels = f'{more}job="{job}",phase="train"'
    return (
        f"{BUILD_INFO}push_time_seconds{{{labels}}} 5\npush_failure_time_seconds{{{labels}}} 6\n"
        f'gangplank_run_state{{{labels},state="{job}"}} 1\n'
        f'# TYPE gangplank_train_loss gauge\ngangplank_train_loss{{{labels},layer="{job}",run="{job}"}} 0.5\n'
    )


def json_escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"")


@pytest.mark.parametrize("answer", PAGES.values(), ids=PAGES)
@pytest.mark.parametrize(
    "arguments",
    [
        ["show"],
        ["show", "--json"],
        ["show", "--job", "*"],
        ["delete", "--job", "*", "--yes"],
        ["delete", "--job", "*", "--yes", "--json"],
        ["prune", "--older-than", "1s", "--dry-run"],
        ["doctor"],
        ["doctor", "--json"],
    ],
    ids=" ".join,
)
def test_a_verb_repeats_no_secret(
    arguments: list[str],
    answer: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(adapters, "_problem", lambda adapter: "")
    monkeypatch.setattr("gangplank.cli.remote.gateway._DELETION_TIMEOUT", 0.0)
    monkeypatch.setattr(probe, "_VISIBLE_TIMEOUT", 0.0)
    with in_front(answer) as address:
        verb, *options = arguments
        prometheus = ["--prometheus", address] if verb == "doctor" else []
        main([verb, address, *options, *prometheus])
    said = capsys.readouterr()
    assert not tells(said.out)
    assert not tells(said.err)
