"""Gateways that ask who is there: basic authentication and client certificates, by a real Pushgateway."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from prometheus_client import exposition

import gangplank
from gangplank import DeliveryError, Handler
from support.servers import USERS, Server, free_port, pushgateway


def push(address: str, handler: Handler | None = None) -> None:
    """Push and raise what goes wrong."""
    with gangplank.run(address, "digits", handler=handler, ignore_exceptions=False) as run:
        run.record({"loss": 0.5}, epoch=0)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Server]:
    """A gateway that wants a password for everything, so it shows that it is ready by listening."""
    with pushgateway(tmp_path, config=USERS) as server:
        yield server


def test_credentials_in_the_address_open_the_gateway(guarded: Server) -> None:
    push(f"http://me:canary@{guarded.address}")


def test_prometheus_clients_basic_auth_recipe_works_unchanged(guarded: Server) -> None:
    def my_auth_handler(
        url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
    ) -> Callable[[], None]:
        return exposition.basic_auth_handler(url, method, timeout, headers, data, "me", "canary")

    push(guarded.address, my_auth_handler)


@pytest.mark.parametrize("password", ["canaries", ""])
def test_a_wrong_password_is_the_gateways_401_and_shows_nowhere(
    guarded: Server, password: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(DeliveryError, match="answered 401: Unauthorized") as raised:
        push(f"http://me:{password or 'canaries'}@{guarded.address}")
    assert "canaries" not in f"{raised.value!r} {raised.value.__cause__!r} {caplog.text}"
    with pytest.raises(DeliveryError, match="answered 401"):
        push(guarded.address)


@pytest.fixture
def ours(tmp_path: Path) -> trustme.CA:
    """A certificate authority that nobody else knows."""
    return trustme.CA()


@pytest.fixture
def tls(tmp_path: Path, ours: trustme.CA) -> Iterator[Server]:
    """A gateway that speaks TLS, and wants a client certificate."""
    issued = ours.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    ours.cert_pem.write_to_path(tmp_path / "ca.pem")
    config = (
        f"tls_server_config: {{cert_file: {tmp_path}/cert.pem, key_file: {tmp_path}/key.pem,"
        f" client_ca_file: {tmp_path}/ca.pem, client_auth_type: RequireAndVerifyClientCert}}\n"
    )
    with pushgateway(tmp_path, config=config) as server:
        yield server


@pytest.mark.skipif(not hasattr(exposition, "tls_auth_handler"), reason="prometheus_client has it from 0.15 on")
def test_prometheus_clients_tls_auth_recipe_works_unchanged(tls: Server, ours: trustme.CA, tmp_path: Path) -> None:
    ours.issue_cert("me@example.org").private_key_and_cert_chain_pem.write_to_path(tmp_path / "me.pem")
    me, authority = str(tmp_path / "me.pem"), str(tmp_path / "ca.pem")
    handler = functools.partial(exposition.tls_auth_handler, certfile=me, keyfile=me, cafile=authority)
    push(f"https://{tls.address}", handler)


def test_a_certificate_that_nobody_vouches_for_is_refused(tls: Server) -> None:
    with pytest.raises(DeliveryError, match=r"unreachable: .*CERTIFICATE_VERIFY_FAILED"):
        push(f"https://{tls.address}")


def test_a_certificate_that_the_system_trusts_is_accepted(
    tmp_path: Path, ours: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = ours.issue_cert("localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    ours.cert_pem.write_to_path(tmp_path / "ca.pem")
    config = f"tls_server_config: {{cert_file: {tmp_path}/cert.pem, key_file: {tmp_path}/key.pem}}\n"
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    port = free_port()
    with pushgateway(tmp_path, "--web.route-prefix=/push", port=port, config=config):
        push(f"https://localhost:{port}/push/")


def test_a_token_from_a_file_loses_its_line_break_and_one_that_no_header_holds_is_not_shown(
    guarded: Server, caplog: pytest.LogCaptureFixture
) -> None:
    header = "Basic bWU6Y2FuYXJ5\n"  # me:canary
    with gangplank.run(guarded.address, "digits", credentials=lambda: header, ignore_exceptions=False) as run:
        run.record({"loss": 0.5}, epoch=0)
    bad = gangplank.run(guarded.address, "digits", credentials=lambda: "Bearer can\nary", ignore_exceptions=False)
    with pytest.raises(DeliveryError, match="the credentials contain characters that a header cannot") as raised:
        bad.start()
    assert "ary" not in f"{raised.value!r} {raised.value.__cause__!r} {raised.value.__context__!r} {caplog.text}"
