"""Where credentials come from, and where they go."""

from __future__ import annotations

import base64
import re
import sys
from typing import Any
from unittest import mock

import pytest

import gangplank
from gangplank import DeliveryError
from support import proxy as proxies
from support.credentials import SECRETS, authorization, environment, push
from support.proxy import Proxy, proxying
from support.reading import eventually, value
from support.servers import Server

# Row 20: where credentials come from, and go


def test_the_environments_credentials_go_to_the_host_it_names_and_nowhere_else(
    gateway: Server, seen: list[bytes], front: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    others: list[bytes] = []
    with proxying(gateway.port, proxies.records(others)) as other:
        environment(monkeypatch, host=front.address, username="me", password="canary")  # noqa: S106
        push(front.address)
        push(other.address)
        push(f"localhost:{front.port}")
        push(front.address)
    assert {tuple(authorization(request)) for request in others} == {()}
    sent = [authorization(request) for request in seen]
    named = [b"Host: localhost" in request for request in seen]
    assert len(set(named)) == 2
    assert [not header for header in sent] == named
    assert {header[0] for header in sent if header} == {f"Basic {SECRETS[1]}"}


def test_what_the_script_says_comes_before_the_address_and_that_before_the_environment(
    front: Proxy, seen: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch, host="127.0.0.1", username="environment", password="pw")  # noqa: S106
    push(front.address)
    environment(monkeypatch, username="late")  # a run has what it was made with
    push(f"http://address:p%40w@{front.address}")
    push(f"http://address:pw@{front.address}", credentials=lambda: ("script", "pw"))
    expected = [
        f"Basic {base64.b64encode(pair).decode()}" for pair in (b"environment:pw", b"address:p@w", b"script:pw")
    ]
    assert list(dict.fromkeys(header for request in seen for header in authorization(request))) == expected


def test_a_callable_is_asked_for_each_push(front: Proxy, seen: list[bytes]) -> None:
    tokens = iter(range(100))
    run = gangplank.run(front.address, "digits", credentials=lambda: f"Bearer {next(tokens)}", ignore_exceptions=False)
    for epoch in range(3):
        run.record({"loss": 0.5}, epoch=epoch)
    headers = [header for request in seen for header in authorization(request)]
    assert headers == [f"Bearer {index}" for index in range(len(seen))]
    assert len(headers) >= 4


def broken() -> Any:
    raise RuntimeError("the vault is sealed")


@pytest.mark.parametrize(
    ("credentials", "said"),
    [
        (broken, "credentials= raised RuntimeError"),
        (lambda: sys.exit(3), "credentials= raised SystemExit"),
        (lambda: None, r"credentials= returned NoneType: return \(user, password\), or the whole header, as text"),
        (lambda: ("me",), r"credentials= returned \(str\): "),
        (lambda: ("me", "pw", "x"), r"credentials= returned \(str, str, str\): "),
        (lambda: b"Bearer canary", "credentials= returned bytes: "),
        (lambda: ("me", b"canary"), r"credentials= returned \(str, bytes\): "),
        (lambda: ("me", 1234), r"credentials= returned \(str, int\): "),
    ],
)
def test_a_callable_that_fails_is_a_failed_push_and_no_more(
    gateway: Server, credentials: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    asks = mock.Mock(side_effect=credentials)
    run = gangplank.run(gateway.address, "digits", credentials=asks)
    run.record({"loss": 0.5}, epoch=0)
    run.finish()
    assert re.search(said, caplog.text)
    assert "vault" not in caplog.text
    assert "canary" not in caplog.text
    with pytest.raises(DeliveryError, match=said):
        push(gateway.address, job="strict", credentials=credentials)
    asks.side_effect = lambda: ("me", "pw")
    eventually(lambda: value(gateway, "gangplank_run_state", state="finished") == 1)
    assert (value(gateway, "gangplank_run_export_failures_total", reason="internal") or 0) >= 1


def test_no_proxy_of_the_environment_is_used(gateway: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    seen: list[bytes] = []
    with proxying(gateway.port, proxies.records(seen)) as trap:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://{trap.address}")
            if name != "http_proxy":  # which urllib does not read where it may come from a request
                monkeypatch.setenv(name.upper(), f"http://{trap.address}")
        push(f"http://me:canary@{gateway.address}")
        assert value(gateway, "gangplank_train_loss") == 0.5
        assert not trap.accepted
