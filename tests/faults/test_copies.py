"""Copies: deepcopy, pickle and cloudpickle, as tuners, spawned workers and clusters make them."""

from __future__ import annotations

import copy
import functools
import logging
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from gangplank import ConfigurationError, Exporter, Run
from gangplank.core.sinks.address import whole
from gangplank.core.sinks.hidden import reveal
from gangplank.testing.gateway import Gateway
from support.reading import samples


def recorded(calls: list[str], url: str, method: str, timeout: float, headers: Any, data: bytes) -> Callable[[], None]:
    return lambda: calls.append(url)


def nowhere(url: str, method: str, timeout: float | None, headers: Any, data: bytes) -> Callable[[], None]:
    return lambda: None


def pickled(exporter: Exporter) -> Exporter:
    again = pickle.loads(pickle.dumps(exporter))
    assert isinstance(again, Exporter)
    return again


OPTIONS: dict[str, Any] = {
    "metrics": ["loss"],
    "histogram_buckets": (-1.0, 1.0),
    "histogram_freq": 3,
    "grouping_key": {"team": "vision"},
    "run": "mine",
    "info": {"dataset": "digits"},
    "push_interval": 1.0,
    "timeout": 2.0,
    "flush_timeout": 0.5,
    "ignore_exceptions": False,
}


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, pickled],
    ids=["copy", "deepcopy", "pickle"],
)
@pytest.mark.parametrize("open_", [False, True])
def test_a_copy_has_the_same_settings_and_a_run_of_its_own(copied: Callable[[Exporter], Exporter], open_: bool) -> None:
    with Gateway() as gateway:
        exporter = Exporter(gateway.address, "digits", **OPTIONS)
        run = exporter.run("test")
        if open_:
            run.record({"loss": 1})
        copy_of_it = copied(exporter)
        pushers = copy_of_it._destinations._each  # noqa: SLF001
        assert [one.outbox.undelivered() for one in pushers] == [[]]  # it has no run
        assert copy_of_it._settings == exporter._settings  # noqa: SLF001  all of them
        assert copy_of_it._destinations is not exporter._destinations  # noqa: SLF001
        other = copy_of_it.run("test")
        assert not other.open
        other.record({"loss": 2}, weights=[[0.0]])
        other.finish()
        assert run.open == open_
        run.finish()
        [loss] = samples(gateway.metrics(), "gangplank_test_loss", team="vision", run="mine")
        assert loss.value == 2  # of the newer run, though the older one has ended later


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_run_is_not_copied_and_the_message_says_what_to_copy(copied: Callable[[Run], object]) -> None:
    with pytest.raises(TypeError, match="neither copied nor pickled: copy its Exporter"):
        copied(Exporter("gateway:1", "digits").run())


def test_a_deepcopy_keeps_credentials_and_a_handler() -> None:
    calls: list[str] = []
    handler = functools.partial(recorded, calls)
    run = copy.deepcopy(Exporter("gateway:1", "digits", handler=handler)).run()
    run.record({"loss": 1}, epoch=0)
    run.finish()
    assert calls
    exporter = copy.deepcopy(Exporter("http://me:canary@127.0.0.1:1", "digits"))
    assert whole(exporter._settings.destinations[0].address) == "http://me:canary@127.0.0.1:1"  # noqa: SLF001


def test_a_pickle_holds_no_password_and_says_how_to_give_one(caplog: pytest.LogCaptureFixture) -> None:
    data = pickle.dumps(Exporter("http://me:canary@127.0.0.1:1", "digits"))
    pickle.loads(data)
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "GANGPLANK_PUSHGATEWAY_HOST, _USERNAME and _PASSWORD" in record.getMessage()


def test_a_pickle_finds_its_password_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("GANGPLANK_PUSHGATEWAY_HOST", "127.0.0.1:1")
    monkeypatch.setenv("GANGPLANK_PUSHGATEWAY_USERNAME", "me")
    monkeypatch.setenv("GANGPLANK_PUSHGATEWAY_PASSWORD", "canary")
    exporter = Exporter("127.0.0.1:1", "digits")
    assert b"canary" not in pickle.dumps(exporter)
    pickled(pickled(exporter))
    assert not caplog.records


def test_a_handler_at_the_top_of_a_module_is_pickled() -> None:
    exporter = Exporter("gateway:1", "digits", handler=nowhere)
    assert reveal(pickled(exporter)._settings.handler) is nowhere  # noqa: SLF001


@pytest.mark.parametrize("name", ["handler", "credentials"])
def test_one_that_cannot_be_pickled_is_refused_with_the_cure(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cloudpickle", raising=False)
    exporter = Exporter("127.0.0.1:1", "digits", **{name: lambda *_, **__: ("me", "canary")})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=f"{name}= is a function that cannot be pickled: use a function at"):
        pickle.dumps(exporter)


def test_cloudpickle_takes_a_lambda_to_another_process() -> None:
    with Gateway() as gateway:
        program = f"""
import cloudpickle, gangplank, sys
from prometheus_client.exposition import default_handler
handler = lambda url, method, timeout, headers, data: default_handler(url, method, timeout, headers, data)
sys.stdout.buffer.write(cloudpickle.dumps(gangplank.Exporter({gateway.address!r}, "digits", handler=handler)))
"""
        data = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
        run = pickle.loads(data).run()
        run.record({"loss": 0.5}, epoch=0)
        run.finish()
        assert next(samples(gateway.metrics(), "gangplank_train_loss")).value == 0.5
