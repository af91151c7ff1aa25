"""No function's variables, no exception and no object shows a password to what prints them: rich, Sentry, `asdict`."""

from __future__ import annotations

import copy
import dataclasses
import functools
import pickle
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.exposition import basic_auth_handler

import gangplank
from gangplank import ConfigurationError, DeliveryError, Destination, Exporter
from gangplank.core.sinks.address import parse
from gangplank.core.sinks.credentials import access_to
from support import proxy as proxies
from support.credentials import CANARY, SECRETS, environment, push
from support.proxy import proxying
from support.servers import free_port
from support.shown import texts_of, texts_of_error


def telling(texts: Any) -> list[str]:
    """Return the texts that give the password away."""
    return [text for text in texts if any(secret in text for secret in SECRETS)]


# What is wrong at construction


def refusing_sink(address: str) -> Any:
    raise ConfigurationError("not here")


ADDRESS = f"https://me:{CANARY}@gateway"
MISTAKES: dict[str, dict[str, Any]] = {
    "a port": {"address": f"http://me:{CANARY}@gateway:port"},
    "no address": {"address": f"http://me:{CANARY}@"},
    "a scheme": {"address": f"ftp://me:{CANARY}@gateway"},
    "a scheme of nobody's": {"address": f"kafka://me:{CANARY}@gateway/topic"},
    "a query": {"address": f"http://me:{CANARY}@gateway?x"},
    "a port of our own": {"address": f"scrape://me:{CANARY}@127.0.0.1:9464"},
    "a file": {"address": f"file://me:{CANARY}@host/x.prom"},
    "bytes": {"address": ADDRESS.encode()},
    "a set": {"address": {ADDRESS}},
    "one of several": {"address": [ADDRESS, f"http://me:{CANARY}@gateway:port"]},
    "twice": {"address": [ADDRESS, ADDRESS]},
    "a destination": {"address": Destination(ADDRESS, timeout=-1)},
    "a destination of bytes": {"address": Destination(ADDRESS.encode())},  # type: ignore[arg-type]
    "credentials for a file": {"address": Destination("file:///x", credentials=functools.partial(max, CANARY))},
    "a job": {"address": ADDRESS, "job": ""},
    "an edge": {"address": ADDRESS, "histogram_buckets": [2, 1]},
    "a label": {"address": ADDRESS, "info": {"a b": "x"}},
    "a pair": {"address": "gateway:1", "credentials": ("me", CANARY)},
    "a header": {"address": "gateway:1", "credentials": f"Basic {SECRETS[1]}"},
    "a handler that is none": {"address": "gateway:1", "handler": ("me", CANARY)},
    "a handler beside a password": {"address": ADDRESS, "handler": functools.partial(basic_auth_handler, CANARY)},
    "a partial, and a job": {"address": "gateway:1", "job": "", "credentials": functools.partial(max, CANARY)},
    "a sink that refuses": {"address": f"x://me:{CANARY}@gateway", "sink": refusing_sink},
    "a timeout": {"address": ADDRESS, "timeout": 0, "sink": functools.partial(refusing_sink, CANARY)},
}


@pytest.mark.parametrize("door", [gangplank.run, Exporter])
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_shows_no_password(door: Callable[..., Any], mistake: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as raised:
        door(**{"job": "digits", **mistake})
    assert telling(texts_of_error(raised.value)) == []


def test_a_certificate_that_cannot_be_used_shows_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, host="gateway", username="me", password=CANARY, ca_file=tmp_path / "none.pem")
    with pytest.raises(ConfigurationError, match="cannot be used") as raised:
        gangplank.run("https://gateway", "digits")
    assert telling(texts_of_error(raised.value)) == []


def test_a_variable_without_its_host_shows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, username="me", password=CANARY)
    with pytest.raises(ConfigurationError, match="HOST") as raised:
        gangplank.run("https://gateway", "digits")
    assert telling(texts_of_error(raised.value)) == []


# What is wrong with a push


def pair(user: str = "me", password: str = CANARY) -> tuple[str, str]:
    return user, password


def header(token: str = CANARY) -> str:
    return f"Bearer {token}"


def own(
    url: str, method: str, timeout: float | None, headers: Any, data: bytes, password: str = CANARY
) -> Callable[[], None]:
    """Send with what is prometheus_client's."""
    return basic_auth_handler(url, method, timeout, headers, data, "me", password)


def without_tls(peer: socket.socket, proxy: proxies.Proxy) -> None:
    peer.recv(10)
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


WAYS: dict[str, dict[str, Any]] = {
    "the address": {},
    "the environment": {},
    "a pair": {"credentials": pair},
    "a header": {"credentials": header},
    "a partial": {"credentials": functools.partial(pair, "me", CANARY)},
    "a handler": {"handler": own},
    "a handler, partial": {"handler": functools.partial(basic_auth_handler, username="me", password=CANARY)},
}
PEERS: dict[str, proxies.Behaviour] = {
    "401": proxies.answers("401 Unauthorized", "no"),
    "a page": proxies.answers("200 OK", "<html>"),
    "silence": proxies.is_silent,
    "a reset": proxies.resets_the_request,
    "nonsense": proxies.answers("nonsense"),
    "a redirect": proxies.answers("302 Found", "", "Location: http://127.0.0.1:1/"),
    "panic": proxies.hangs_up("1.11.0"),
    "half a head": proxies.hangs_up("1.11.0", b"HTTP/1.1 200 OK\r\n"),
    "half a body": proxies.hangs_up("1.11.0", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
}


@pytest.mark.parametrize(
    ("way", "peer"),
    [
        (way, peer)
        for way in WAYS
        for peer in (*PEERS, "nobody", "no TLS")
        if "handler" not in way
        or peer not in ("a page", "half a head", "half a body")  # urllib takes these for success
    ],
)
def test_a_push_that_fails_shows_no_password(way: str, peer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxying(0, PEERS.get(peer, without_tls)) as proxy:
        address = f"127.0.0.1:{free_port()}" if peer == "nobody" else proxy.address
        scheme = "https" if peer == "no TLS" else "http"
        if way == "the environment":
            environment(monkeypatch, host=address, username="me", password=CANARY)
        login = f"me:{CANARY}@" if way == "the address" else ""
        with pytest.raises(DeliveryError) as raised:
            push(f"{scheme}://{login}{address}", timeout=0.3, **WAYS[way])
    assert telling(texts_of_error(raised.value)) == []


def test_what_was_wrong_with_the_network_is_told_by_its_type() -> None:
    for address, cause in (
        (f"http://me:{CANARY}@127.0.0.1:{free_port()}", ConnectionRefusedError),
        ("https://127.0.0.1:1", OSError),
    ):
        with pytest.raises(DeliveryError) as raised:
            push(address)
        assert isinstance(raised.value.__cause__, cause)
    with (
        proxying(0, without_tls) as proxy,
        pytest.raises(DeliveryError) as raised,
    ):
        push(f"https://me:{CANARY}@{proxy.address}")
    assert isinstance(raised.value.__cause__, ssl.SSLError)


class VaultError(Exception):
    """Says what it asked with."""

    def __init__(self) -> None:
        super().__init__(f"the token {CANARY} has expired")
        self.token = CANARY


def raising(token: str = CANARY) -> Any:
    try:
        return dict[str, str]()[token]
    except KeyError as error:
        raise VaultError from error


@pytest.mark.parametrize(
    ("credentials", "said"),
    [
        (raising, "credentials= raised VaultError"),
        (functools.partial(bytes, CANARY, "ascii"), "returned bytes"),
        (lambda: ("me", CANARY.encode()), r"returned \(str, bytes\)"),
        (lambda: f"Bearer {CANARY}\nX: y", "characters that a header cannot"),
        (lambda: ("me", f"{CANARY}\ud800"), "cannot be encoded"),
        (lambda: {CANARY: 1}, "returned dict"),
    ],
    ids=["raises", "bytes", "a pair of bytes", "two lines", "a surrogate", "a dict"],
)
def test_credentials_that_cannot_be_used_are_not_shown(
    credentials: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(DeliveryError, match=said) as raised:
        push("127.0.0.1:1", credentials=credentials)
    assert telling(texts_of_error(raised.value)) == []
    run = gangplank.run("127.0.0.1:1", "digits", credentials=credentials)
    run.record({"loss": 1}, epoch=0)
    run.finish()
    assert telling([caplog.text, *(text for record in caplog.records for text in texts_of(vars(record)))]) == []


def raising_handler(url: str, method: str, timeout: float | None, headers: Any, data: bytes) -> Callable[[], None]:
    def send(password: str = CANARY) -> None:
        raise ValueError(len(password))

    return send


def test_what_a_handler_raises_is_told_without_its_variables() -> None:
    with pytest.raises(DeliveryError, match="pushing failed: ValueError: 6") as raised:
        push("gateway:1", handler=raising_handler)
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)


# What is kept


OPTIONS: dict[str, dict[str, Any]] = {
    "the address": {"address": ADDRESS},
    "the environment": {"address": "https://gateway"},
    "destinations": {
        "address": [Destination(ADDRESS), Destination("http://b", credentials=WAYS["a partial"]["credentials"])]
    },
    "a sink": {"address": f"x://me:{CANARY}@gateway", "sink": functools.partial(lambda *_: _Sink(), CANARY)},
    **{way: {"address": "gateway:1", **options} for way, options in WAYS.items() if options},
}


class _Sink:
    def __str__(self) -> str:
        return "x://gateway"

    def send(self, page: Any, timeout: float) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_nothing_that_is_kept_shows_a_password(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, host="gateway", username="me", password=CANARY)
    exporter = Exporter(job="digits", **options)
    run = exporter.run()
    settings = exporter._settings  # noqa: SLF001
    kept = [exporter, run, settings, exporter._destinations, *exporter._destinations._each]  # noqa: SLF001
    for thing in (*kept, *map(vars, kept), copy.deepcopy(exporter), dataclasses.asdict(settings)):
        assert telling(texts_of(thing)) == []
    assert telling([repr(copy.deepcopy(settings))]) == []
    assert settings.destinations[0] == dataclasses.replace(settings.destinations[0])


def test_a_destination_an_address_and_an_access_show_no_password() -> None:
    destination = Destination(ADDRESS, credentials=functools.partial(pair, "me", CANARY))
    assert (destination.address, str(destination)) == ("https://gateway", "https://gateway")
    assert destination.credentials is not None
    assert destination.credentials() == ("me", CANARY)
    address = parse(ADDRESS)
    for thing in (destination, address, access_to(address, None)):
        assert telling(texts_of(thing)) == []
        assert telling([repr(dataclasses.asdict(thing)), repr(dataclasses.astuple(thing))]) == []
    assert CANARY.encode() not in pickle.dumps(dataclasses.replace(destination, credentials=None))
