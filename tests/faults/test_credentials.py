"""Who we are to a gateway: TLS and authentication by real Pushgateways, and a password that nothing gives away."""

from __future__ import annotations

import base64
import contextlib
import copy
import functools
import logging
import os
import pickle
import socket
import subprocess
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from prometheus_client.exposition import basic_auth_handler

from faults import left
from faults import proxy as proxies
from faults.proxy import Proxy, proxying
from gangplank import ConfigurationError, DeliveryError, Run
from gangplank.core.snapshot import Delivery, Outcome, RunInfo, Snapshot
from reading import eventually, value
from servers import Server, free_port, pushgateway

PREFIX = "GANGPLANK_PUSHGATEWAY_"
# The bcrypt hash of "canary".
USERS = "basic_auth_users: {me: $2b$04$oYMHmYwvhvck4h3jr0/Bcucp.F3vOFz2814i17MFR/Iiv49H82kKK}\n"
CANARY = "canary"
SECRETS = (CANARY, base64.b64encode(f"me:{CANARY}".encode()).decode())
NAME = "gateway.invalid"


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin with an environment that says nothing, and deliver to nowhere what is left at the end."""
    for name in ("HOST", "USERNAME", "PASSWORD", "CA_FILE", "CERT_FILE", "KEY_FILE"):
        monkeypatch.delenv(f"{PREFIX}{name}", raising=False)
    left.begin()
    yield
    left.deliver_to_nowhere(monkeypatch)


def push(address: str, **options: Any) -> None:
    """Push and raise what goes wrong."""
    with Run(address, **{"job": "digits", "ignore_exceptions": False, **options}) as run:
        run.record({"loss": 0.5}, epoch=0)


def environment(patch: pytest.MonkeyPatch, **variables: object) -> None:
    for name, given in variables.items():
        patch.setenv(f"{PREFIX}{name.upper()}", str(given))


def authorization(request: bytes) -> list[str]:
    """Return the `Authorization` headers of a request."""
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return [line.partition(": ")[2] for line in lines if line.lower().startswith("authorization:")]


@pytest.fixture
def seen() -> list[bytes]:
    """The requests that went through `front`."""
    return []


@pytest.fixture
def front(gateway: Server, seen: list[bytes]) -> Iterator[Proxy]:
    """A proxy in front of a gateway that notes down what comes."""
    with proxying(gateway.port, proxies.records(seen)) as proxy:
        yield proxy


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
    config = folder / "web.yml"
    config.write_text(
        f"tls_server_config: {{cert_file: {files.server_cert}, key_file: {files.server_key}{more}}}\n{users}"
    )
    return pushgateway(folder, f"--web.config.file={config}", scheme="https")


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
    with pytest.raises(DeliveryError, match=r"https://127\.0\.0\.1:\d+ is out of reach: .*CERTIFICATE_VERIFY_FAILED"):
        push(f"https://{tls.address}")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    environment(monkeypatch, host="127.0.0.1", ca_file=tmp_path / "other.pem")
    with pytest.raises(DeliveryError, match="CERTIFICATE_VERIFY_FAILED"):
        push(f"https://{tls.address}")


def test_a_certificate_for_another_host_is_refused(files: Files, tls: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(files.ca))
    monkeypatch.setattr(socket, "getaddrinfo", here(socket.getaddrinfo))
    with pytest.raises(DeliveryError, match="CERTIFICATE_VERIFY_FAILED"):
        push(f"https://{NAME}:{tls.port}")


def here(resolve: Callable[..., Any]) -> Callable[..., Any]:
    """Return a resolver to which NAME is this machine."""
    return lambda host, *rest, **options: resolve("127.0.0.1" if host == NAME else host, *rest, **options)


@pytest.mark.parametrize("joined", [False, True])
def test_a_client_certificate_opens_the_gateway(
    mutual: Server, files: Files, tmp_path: Path, joined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch, host="127.0.0.1", ca_file=files.ca)
    with pytest.raises(DeliveryError, match="out of reach"):
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
        Run("https://gateway", "digits")
    Run("https://elsewhere", "digits")


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
    code = "import gangplank; gangplank.Run('https://gateway', 'digits')"
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
    run = Run(front.address, "digits", credentials=lambda: f"Bearer {next(tokens)}", ignore_exceptions=False)
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
        (broken, "RuntimeError: the vault is sealed"),
        (lambda: None, "TypeError"),
        (lambda: ("me",), "ValueError"),
        (lambda: sys.exit(3), "SystemExit: 3"),
    ],
)
def test_a_callable_that_fails_is_a_failed_push_and_no_more(
    gateway: Server, credentials: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    asks = mock.Mock(side_effect=credentials)
    run = Run(gateway.address, "digits", credentials=asks)
    run.record({"loss": 0.5}, epoch=0)
    run.finish()
    assert said in caplog.text
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


# Row 21: the canary


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and all that stand behind it, each once."""
    found: list[BaseException] = []
    todo = [error]
    while todo:
        if (error := todo.pop()) is not None and not any(error is known for known in found):
            found.append(error)
            yield error
            todo += [error.__cause__, error.__context__]


def text_of(error: BaseException) -> str:
    """Return all that an exception and those behind it say."""
    said = [repr(link) + str(link) + repr(link.args) + repr(vars(link)) for link in chain(error)]
    return "".join([*traceback.format_exception(error), *said])


def refusal(address: str, **options: Any) -> str:
    """Return all that is said of a push; nothing where it arrived after all."""
    try:
        push(address, **options)
    except DeliveryError as error:
        return text_of(error)
    return ""


def tells(text: object) -> bool:
    """Return whether a text, or bytes, give the password away."""
    shown = text if isinstance(text, bytes) else str(text).encode(errors="surrogateescape")
    return any(secret.encode() in shown for secret in SECRETS)


def assert_nothing_tells(run: Run, error: BaseException | None, caplog: pytest.LogCaptureFixture) -> None:
    """Look at everything about a run that may be shown somewhere."""
    if error is not None:
        assert not tells(text_of(error))
    for entry in caplog.records:
        assert not tells(entry.getMessage() + repr(entry.args) + repr(vars(entry)))
    everything = [run, run.destinations, *vars(run).values(), *vars(run.destinations).values()]
    everything += [part for one in list(everything) for part in getattr(one, "__dict__", {}).values()]
    for thing in everything:
        assert not tells(repr(thing) + str(thing))


UNDER = {
    "refused": None,
    "401": None,
    "no TLS": proxies.answers("400 Bad Request", "speak TLS"),
    "503": proxies.answers("503 Unavailable", "busy"),
    "redirect": proxies.answers("302 Found", "", "Location: http://127.0.0.1:1/"),
    "hang": proxies.is_silent,
    "reset": proxies.resets_the_request,
    "nonsense": proxies.answers("nonsense"),
}


@pytest.mark.parametrize("way", ["the address", "the environment", "a callable"])
@pytest.mark.parametrize("fault", UNDER)
def test_no_fault_gives_the_password_away(  # noqa: PLR0917  what pytest may show it with
    gateway: Server,
    fault: str,
    way: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[object] = []
    watcher = types.SimpleNamespace(
        hear=lambda _: True, tell=lambda hook, answer=None, **what: told.extend(what.values())
    )
    monkeypatch.setattr("gangplank.core.plugins._observers", watcher)
    with contextlib.ExitStack() as stack:
        front = stack.enter_context(proxying(gateway.port, UNDER[fault] or proxies.passes))
        address = front.address if fault != "refused" else f"127.0.0.1:{free_port()}"
        if fault == "401":  # a gateway of its own, which knows another user
            config = tmp_path / "web.yml"
            config.write_text(USERS.replace("me:", "you:"))
            server = pushgateway(tmp_path, f"--web.config.file={config}", scheme="https")
            address = stack.enter_context(server).address
        scheme = "https" if fault == "no TLS" else "http"
        options: dict[str, Any] = {"timeout": 0.3, "flush_timeout": 0.1}
        url = f"{scheme}://me:{CANARY}@{address}" if way == "the address" else f"{scheme}://{address}"
        if way == "the environment":
            environment(monkeypatch, host=address, username="me", password=CANARY)
        elif way == "a callable":
            options["credentials"] = lambda: ("me", CANARY)
        strict = Run(url, "digits", ignore_exceptions=False, **options)
        with pytest.raises(DeliveryError) as raised:
            strict.record({"loss": 0.5}, epoch=0)
        assert_nothing_tells(strict, raised.value, caplog)
        run = Run(url, "digits", **options)
        run.record({"loss": 0.5, "note": "text"}, epoch=0)
        run.finish()
        eventually(lambda: "did not arrive" in caplog.text)
        assert_nothing_tells(run, None, caplog)
        if way != "a callable":
            assert not tells(pickle.dumps(run))
        copied = copy.deepcopy(run)
        assert_nothing_tells(copied, None, caplog)
    assert not any(tells(warning.message) for warning in recwarn)
    assert not any(tells(said) for said in capfd.readouterr())
    assert {type(thing) for thing in told} == {RunInfo, Snapshot, Outcome, Delivery}
    assert not tells(pickle.dumps(told) + repr(told).encode())


def test_the_page_and_the_path_hold_no_password(front: Proxy, seen: list[bytes]) -> None:
    push(f"http://me:{CANARY}@{front.address}")
    for request in seen:
        head, _, body = request.partition(b"\r\n\r\n")
        assert not tells(body)
        assert not tells(head.partition(b"\r\n")[0])
        assert [header.removeprefix("Basic ") for header in authorization(request)] == [SECRETS[1]]
        lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Authorization")]
        assert not any(tells(line) for line in lines)


@pytest.mark.parametrize(
    "address",
    [
        *(f"me:{CANARY}@gateway", f"me:{CANARY}@gateway:port", f"me:{CANARY}@:9091", f"me:{CANARY}@gateway:0"),
        *(f"ftp://me:{CANARY}@gateway:1", f"http://me:{CANARY}@", f"http://me:{CANARY}@gateway:1?x=1"),
        *(f"http://me:{CANARY}@gateway:1#x", f"http://me:{CANARY}@gate way:1", f"http://me:{CANARY}@gateway:1\n"),
        *(f"http://me:{CANARY}/x@gateway:1", f"http://me:{CANARY}?x@gateway:1", f"http://me:{CANARY}#x@gateway:1"),
        *(f"http://me:{CANARY}@[::1:9091", f"me:{CANARY}\n@gateway:1"),
        *(f"http://me:{CANARY}@gateway:99999", f"http://me:[{CANARY}]@gateway:1/ ", f"http://m\udcff:{CANARY}@g"),
        *(f"http//me:{CANARY}@gateway:x", f"http://me:{CANARY}@{'a' * 300}.é:x"),
    ],
)
def test_a_bad_address_gives_no_password_away(address: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ConfigurationError) as raised:
        Run(address, "digits")
    assert not tells(text_of(raised.value))
    assert not tells(caplog.text)


def test_other_mistakes_beside_a_password_do_not_tell_it_either() -> None:
    address = f"https://me:{CANARY}@gateway"
    mistakes: tuple[dict[str, Any], ...] = (
        {"job": ""},
        {"job": "digits", "timeout": 0},
        {"job": "digits", "handler": print},
        {"job": "digits", "credentials": ("me", CANARY)},
        {"job": "digits", "info": {"a b": "x"}},
    )
    for options in mistakes:
        with pytest.raises(ConfigurationError) as raised:
            Run(address, **options)
        assert not tells(text_of(raised.value))


def test_a_handler_that_is_no_callable_is_not_shown() -> None:
    with pytest.raises(ConfigurationError, match="handler") as raised:
        Run("gateway:1", "digits", handler=("me", CANARY))  # type: ignore[arg-type]
    assert not tells(text_of(raised.value))


@pytest.mark.parametrize("header", [f"Bearer {CANARY}\n", f"Bearer {CANARY}\r\nX-A: b", f"Bearer {CANARY}€"])
def test_a_header_that_is_none_is_not_shown(gateway: Server, header: str, caplog: pytest.LogCaptureFixture) -> None:
    """A token that was read from a file ends in a new line, as often as not."""
    assert not tells(refusal(gateway.address, credentials=lambda: header))
    assert not tells(caplog.text)


def test_a_password_that_is_no_unicode_is_not_shown(
    gateway: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch, host="127.0.0.1", username="me", password=f"{CANARY}\udcff")
    assert not tells(refusal(gateway.address))
    assert not tells(caplog.text)


@pytest.mark.parametrize("name", ["credentials", "handler"])
def test_a_partial_with_a_password_is_not_shown(name: str) -> None:
    run = Run("gateway:1", "digits", **{name: functools.partial(_made, "me", CANARY)})  # type: ignore[arg-type]
    assert not tells(repr(vars(run)))
    run = Run("gateway:1", "digits", **{name: functools.partial(lambda *_: ("me", "pw"), "me", CANARY)})  # type: ignore[arg-type]
    sys_modules = dict(sys.modules)
    try:
        sys.modules.pop("cloudpickle", None)  # which would be left to say so
        with pytest.raises(ConfigurationError, match="cannot be pickled") as raised:
            pickle.dumps(run)
    finally:
        sys.modules.update(sys_modules)
    assert not tells(text_of(raised.value))


def _made(user: str, password: str, *_: object, **__: object) -> tuple[str, str]:
    return user, password


def test_an_exception_tells_its_cause_and_is_not_its_own() -> None:
    with pytest.raises(DeliveryError) as raised:
        push(f"127.0.0.1:{free_port()}")
    assert raised.value.__cause__ is not raised.value
    assert any(isinstance(link, ConnectionRefusedError) for link in chain(raised.value))


# Row 21: in the clear


@pytest.mark.parametrize(
    "options",
    [
        {"address": f"http://me:{CANARY}@{NAME}:9091"},
        {"address": f"me:{CANARY}@{NAME}:9091"},
        {"address": f"{NAME}:9091", "credentials": lambda: ("me", CANARY)},
        {"address": f"http://me:{CANARY}@10.0.0.1:9091"},
        {"address": f"http://me:{CANARY}@127.gateway.invalid:9091"},
    ],
)
def test_a_password_in_the_clear_is_one_warning(options: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    run = Run(job="digits", **options)
    for phase in ("train", "test"):
        run = run.phase(phase)
    said = [entry.getMessage() for entry in caplog.records]
    assert len(said) == 1
    assert "in the clear: use https" in said[0]
    assert not tells(said[0])


def test_the_environments_password_in_the_clear_is_one_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch, host=NAME, username="me", password=CANARY)
    Run(f"{NAME}:9091", "digits")
    assert caplog.text.count("in the clear") == 1
    assert not tells(caplog.text)


@pytest.mark.parametrize(
    "address",
    [
        *(f"https://me:{CANARY}@{NAME}", f"http://me:{CANARY}@localhost:1", f"http://me:{CANARY}@127.0.0.2:1"),
        *(f"http://me:{CANARY}@[::1]:1", f"{NAME}:9091"),
    ],
)
def test_no_warning_where_nothing_crosses_a_network(address: str, caplog: pytest.LogCaptureFixture) -> None:
    Run(address, "digits")
    assert not caplog.records
