"""TLS: authorities, certificates and keys, with real Pushgateways."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from prometheus_client.exposition import basic_auth_handler

import gangplank
from gangplank import ConfigurationError, DeliveryError
from support.credentials import PREFIX, SECRETS, environment, push
from support.odd_files import ODD
from support.servers import UNRESOLVED, USERS, Server, pushgateway

# Row 20: TLS


class Files:
    """A certificate authority of our own, and what it has issued, as PEM files."""

    def __init__(self, folder: Path) -> None:
        ours = trustme.CA()
        self.ca = folder / "ca.pem"
        self.server_cert, self.server_key = folder / "cert.pem", folder / "key.pem"
        self.me_cert, self.me_key = folder / "me.pem", folder / "me.key"
        ours.cert_pem.write_to_path(self.ca)
        server = ours.issue_cert("127.0.0.1", "localhost")
        server.cert_chain_pems[0].write_to_path(self.server_cert)
        server.private_key_pem.write_to_path(self.server_key)
        me = ours.issue_cert("me@example.org")
        me.cert_chain_pems[0].write_to_path(self.me_cert)
        me.private_key_pem.write_to_path(self.me_key)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def tls_gateway(files: Files, folder: Path, more: str = "", users: str = "") -> Any:
    """Return a gateway that speaks TLS, as a context."""
    certificate = f"cert_file: {files.server_cert}, key_file: {files.server_key}{more}"
    return pushgateway(folder, config=f"tls_server_config: {{{certificate}}}\n{users}")


@pytest.fixture
def tls(files: Files, tmp_path: Path) -> Iterator[Server]:
    """A gateway that speaks TLS."""
    with tls_gateway(files, tmp_path) as server:
        yield server


@pytest.fixture
def mutual(files: Files, tmp_path: Path) -> Iterator[Server]:
    """A gateway that wants a certificate of its clients."""
    more = f", client_ca_file: {files.ca}, client_auth_type: RequireAndVerifyClientCert"
    with tls_gateway(files, tmp_path, more) as server:
        yield server


@pytest.fixture
def guarded(files: Files, tmp_path: Path) -> Iterator[Server]:
    """A gateway that speaks TLS and wants a password."""
    with tls_gateway(files, tmp_path, users=USERS) as server:
        yield server


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:{port}"])
def test_an_authority_of_our_own_is_trusted_for_its_host(
    tls: Server, files: Files, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch, host=host.format(port=tls.port), ca_file=files.ca)
    push(f"https://{tls.address}")
    with pytest.raises(DeliveryError, match="CERTIFICATE_VERIFY_FAILED"):
        push(f"https://localhost:{tls.port}")


def test_an_authority_of_our_own_is_trusted_by_the_system(
    tls: Server, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(files.ca))
    push(f"https://{tls.address}")


def test_an_authority_that_nobody_knows_is_refused(
    tls: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DeliveryError, match=r"https://127\.0\.0\.1:\d+ is unreachable: .*CERTIFICATE_VERIFY_FAILED"):
        push(f"https://{tls.address}")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    environment(monkeypatch, host="127.0.0.1", ca_file=tmp_path / "other.pem")
    with pytest.raises(DeliveryError, match="CERTIFICATE_VERIFY_FAILED"):
        push(f"https://{tls.address}")


def test_a_certificate_for_another_host_is_refused(files: Files, tls: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(files.ca))
    monkeypatch.setattr(socket, "getaddrinfo", here(socket.getaddrinfo))
    with pytest.raises(DeliveryError, match="CERTIFICATE_VERIFY_FAILED"):
        push(f"https://{UNRESOLVED}:{tls.port}")


def here(resolve: Callable[..., Any]) -> Callable[..., Any]:
    """Return a resolver to which UNRESOLVED is this machine."""
    return lambda host, *rest, **options: resolve("127.0.0.1" if host == UNRESOLVED else host, *rest, **options)


@pytest.mark.parametrize("joined", [False, True])
def test_a_client_certificate_opens_the_gateway(
    mutual: Server, files: Files, tmp_path: Path, joined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch, host="127.0.0.1", ca_file=files.ca)
    with pytest.raises(DeliveryError, match="unreachable"):
        push(f"https://{mutual.address}")
    if joined:
        both = tmp_path / "both.pem"
        both.write_text(files.me_cert.read_text() + files.me_key.read_text())
        environment(monkeypatch, cert_file=both)
    else:
        environment(monkeypatch, cert_file=files.me_cert, key_file=files.me_key)
    push(f"https://{mutual.address}")


@pytest.mark.parametrize("missing", ["ca_file", "cert_file", "key_file"])
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_that_cannot_be_used_is_refused_before_any_training(
    files: Files, tmp_path: Path, missing: str, content: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = tmp_path / "bad.pem"
    if content:
        bad.write_text(content)
    given = {"ca_file": files.ca, "cert_file": files.me_cert, "key_file": files.me_key, missing: bad}
    environment(monkeypatch, host="gateway", **given)
    with pytest.raises(ConfigurationError, match=f"{PREFIX}CA_FILE, _CERT_FILE or _KEY_FILE cannot be used"):
        gangplank.run("https://gateway", "digits")
    gangplank.run("https://elsewhere", "digits")


@pytest.mark.parametrize("missing", ["ca_file", "cert_file", "key_file"])
@pytest.mark.parametrize("what", ODD)
def test_what_is_no_file_is_refused_and_not_waited_for(files: Files, tmp_path: Path, missing: str, what: str) -> None:
    ODD[what](tmp_path / "odd")
    given = {"ca_file": files.ca, "cert_file": files.me_cert, "key_file": files.me_key, missing: tmp_path / "odd"}
    code = """
import gangplank
try: gangplank.run("https://gateway", "digits")
except gangplank.ConfigurationError as error: print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            f"{PREFIX}HOST": "gateway",
            **{f"{PREFIX}{name.upper()}": str(path) for name, path in given.items()},
        },
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stdout.startswith(f"{PREFIX}CA_FILE, _CERT_FILE or _KEY_FILE cannot be used: ")
    assert "it is " in done.stdout
    assert done.stderr == ""


def test_a_key_with_a_pass_phrase_is_refused_and_nobody_is_asked(files: Files, tmp_path: Path) -> None:
    key = serialization.load_pem_private_key(files.me_key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"phrase"),
        )
    )
    variables = {"HOST": "gateway", "CERT_FILE": str(files.me_cert), "KEY_FILE": str(locked)}
    code = "import gangplank; gangplank.run('https://gateway', 'digits')"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **{f"{PREFIX}{name}": given for name, given in variables.items()}},
        stdin=subprocess.PIPE,  # which stays open and says nothing
        stderr=subprocess.PIPE,
        start_new_session=True,  # no terminal
    ) as child:
        try:
            assert child.wait(5) == 1
            assert child.stderr
            assert b"ConfigurationError" in child.stderr.read()
        finally:
            child.kill()


def test_a_file_for_tls_is_no_matter_to_plain_http(
    gateway: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch, host="127.0.0.1", ca_file=tmp_path / "none.pem")
    push(gateway.address)


@pytest.mark.parametrize("way", ["the address", "the environment", "a callable", "a header"])
def test_a_password_and_an_authority_of_our_own_open_the_gateway(
    guarded: Server, files: Files, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch, host=guarded.address, ca_file=files.ca)
    address, options = f"https://{guarded.address}", {}
    if way == "the address":
        address = f"https://me:canary@{guarded.address}"
    elif way == "the environment":
        environment(monkeypatch, username="me", password="canary")  # noqa: S106  the test's own
    else:
        options = {"credentials": lambda: ("me", "canary") if way == "a callable" else f"Basic {SECRETS[1]}"}
    push(address, **options)
    monkeypatch.delenv(f"{PREFIX}USERNAME", raising=False)
    with pytest.raises(DeliveryError, match="answered 401: Unauthorized"):
        push(f"https://{guarded.address}")


def test_a_handler_of_the_users_has_a_way_of_its_own(guarded: Server) -> None:
    asked = []

    def handler(url: str, method: str, timeout: float | None, headers: list[Any], data: bytes) -> Callable[[], None]:
        asked.append([name for name, _ in headers])
        return basic_auth_handler(url, method, timeout, headers, data, "me", "canary")

    with pytest.raises(DeliveryError, match="CERTIFICATE_VERIFY_FAILED"):
        push(f"https://{guarded.address}", handler=handler)
    assert asked[0] == ["Content-Type"]
