"""A password that nothing gives away."""

from __future__ import annotations

import contextlib
import copy
import functools
import logging
import pickle
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

import gangplank
from gangplank import (
    ConfigurationError,
    Delivery,
    DeliveryError,
    Exporter,
    Outcome,
    Run,
    RunInfo,
    Snapshot,
    hookimpl,
    hooks,
)
from support import proxy as proxies
from support.credentials import CANARY, SECRETS, authorization, environment, push
from support.proxy import Proxy, proxying
from support.reading import eventually
from support.servers import UNRESOLVED, USERS, Server, free_port, pushgateway
from support.shown import chain

# Row 21: the canary


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


def assert_nothing_tells(
    exporter: Exporter, run: Run, error: BaseException | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Look at everything about an exporter and its run that may be shown somewhere."""
    if error is not None:
        assert not tells(text_of(error))
    for entry in caplog.records:
        assert not tells(entry.getMessage() + repr(entry.args) + repr(vars(entry)))
    everything = [exporter, run, *vars(exporter).values(), *vars(run).values()]
    everything += vars(exporter._destinations).values()  # noqa: SLF001
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


class Watcher:
    """A plugin that keeps all that it is called with."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    @hookimpl
    def gangplank_run_started(self, run: RunInfo) -> None:
        self.seen.append(run)

    @hookimpl
    def gangplank_snapshot(self, run: RunInfo, snapshot: Snapshot) -> None:
        self.seen += [run, snapshot]

    @hookimpl
    def gangplank_run_finished(self, run: RunInfo, outcome: Outcome) -> None:
        self.seen += [run, outcome]

    @hookimpl
    def gangplank_delivered(self, run: RunInfo, delivery: Delivery) -> None:
        self.seen += [run, delivery]

    @hookimpl
    def gangplank_info(self, run: RunInfo) -> dict[str, str]:
        self.seen.append(run)
        return {}


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
    watcher = Watcher()
    with contextlib.ExitStack() as stack:
        hooks.register(watcher, "watcher")
        stack.callback(hooks.unregister, "watcher")
        front = stack.enter_context(proxying(gateway.port, UNDER[fault] or proxies.passes))
        address = front.address if fault != "refused" else f"127.0.0.1:{free_port()}"
        if fault == "401":  # a gateway of its own, which knows another user
            server = pushgateway(tmp_path, config=USERS.replace("me:", "you:"))
            address = stack.enter_context(server).address
        scheme = "https" if fault == "no TLS" else "http"
        options: dict[str, Any] = {"timeout": 0.3, "flush_timeout": 0.1}
        url = f"{scheme}://me:{CANARY}@{address}" if way == "the address" else f"{scheme}://{address}"
        if way == "the environment":
            environment(monkeypatch, host=address, username="me", password=CANARY)
        elif way == "a callable":
            options["credentials"] = lambda: ("me", CANARY)
        strict = Exporter(url, "digits", ignore_exceptions=False, **options)
        run = strict.run()
        with pytest.raises(DeliveryError) as raised:
            run.record({"loss": 0.5}, epoch=0)
        assert_nothing_tells(strict, run, raised.value, caplog)
        exporter = Exporter(url, "digits", **options)
        run = exporter.run()
        run.record({"loss": 0.5, "note": "text"}, epoch=0)
        run.finish()
        eventually(lambda: "did not arrive" in caplog.text)
        assert_nothing_tells(exporter, run, None, caplog)
        if way != "a callable":
            assert not tells(pickle.dumps(exporter))
        copied = copy.deepcopy(exporter)
        assert_nothing_tells(copied, copied.run(), None, caplog)
        eventually(lambda: {type(thing) for thing in watcher.seen} == {RunInfo, Snapshot, Outcome, Delivery})
    assert not any(tells(warning.message) for warning in recwarn)
    assert not any(tells(said) for said in capfd.readouterr())
    assert not tells(pickle.dumps(watcher.seen) + repr(watcher.seen).encode())


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
        gangplank.run(address, "digits")
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
            gangplank.run(address, **options)
        assert not tells(text_of(raised.value))


def test_a_handler_that_is_no_callable_is_not_shown() -> None:
    with pytest.raises(ConfigurationError, match="handler") as raised:
        gangplank.run("gateway:1", "digits", handler=("me", CANARY))  # type: ignore[arg-type]
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
    exporter = Exporter("gateway:1", "digits", **{name: functools.partial(_made, "me", CANARY)})  # type: ignore[arg-type]
    assert not tells(repr(vars(exporter)))
    exporter = Exporter("gateway:1", "digits", **{name: functools.partial(lambda *_: ("me", "pw"), "me", CANARY)})  # type: ignore[arg-type]
    sys_modules = dict(sys.modules)
    try:
        sys.modules.pop("cloudpickle", None)  # which would be left to say so
        with pytest.raises(ConfigurationError, match="cannot be pickled") as raised:
            pickle.dumps(exporter)
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
        {"address": f"http://me:{CANARY}@{UNRESOLVED}:9091"},
        {"address": f"me:{CANARY}@{UNRESOLVED}:9091"},
        {"address": f"{UNRESOLVED}:9091", "credentials": lambda: ("me", CANARY)},
        {"address": f"http://me:{CANARY}@10.0.0.1:9091"},
        {"address": f"http://me:{CANARY}@127.gateway.invalid:9091"},
    ],
)
def test_a_password_in_the_clear_is_one_warning(options: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    exporter = Exporter(job="digits", **options)
    for phase in ("train", "test"):
        exporter.run(phase)
    said = [entry.getMessage() for entry in caplog.records]
    assert len(said) == 1
    assert "go to" in said[0]
    assert "unencrypted: use https" in said[0]
    assert not tells(said[0])


def test_the_environments_password_in_the_clear_is_one_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(monkeypatch, host=UNRESOLVED, username="me", password=CANARY)
    gangplank.run(f"{UNRESOLVED}:9091", "digits")
    assert caplog.text.count("unencrypted") == 1
    assert not tells(caplog.text)


@pytest.mark.parametrize(
    "address",
    [
        *(f"https://me:{CANARY}@{UNRESOLVED}", f"http://me:{CANARY}@localhost:1", f"http://me:{CANARY}@127.0.0.2:1"),
        *(f"http://me:{CANARY}@[::1]:1", f"{UNRESOLVED}:9091"),
    ],
)
def test_no_warning_where_nothing_crosses_a_network(address: str, caplog: pytest.LogCaptureFixture) -> None:
    gangplank.run(address, "digits")
    assert not caplog.records
