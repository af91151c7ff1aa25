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

from gangplank import ConfigurationError, Run
from gangplank.testing.gateway import Gateway
from reading import samples


def recorded(calls: list[str], url: str, method: str, timeout: float, headers: Any, data: bytes) -> Callable[[], None]:
    return lambda: calls.append(url)


def nowhere(url: str, method: str, timeout: float | None, headers: Any, data: bytes) -> Callable[[], None]:
    return lambda: None


def pickled(run: Run) -> Run:
    again = pickle.loads(pickle.dumps(run))
    assert isinstance(again, Run)
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
    [copy.copy, copy.deepcopy, lambda run: pickle.loads(pickle.dumps(run))],
    ids=["copy", "deepcopy", "pickle"],
)
@pytest.mark.parametrize("open_", [False, True])
def test_a_copy_has_the_same_settings_and_a_run_of_its_own(copied: Callable[[Run], Run], open_: bool) -> None:
    with Gateway() as gateway:
        run = Run(gateway.address, "digits", "test", **OPTIONS)
        if open_:
            run.record({"loss": 1})
        other = copied(run)
        assert not other.open
        assert other._settings == run._settings  # noqa: SLF001  all of them
        assert other.destinations is not run.destinations
        other.record({"loss": 2}, weights=[[0.0]])
        other.finish()
        assert run.open == open_
        run.finish()
        [loss] = samples(gateway.metrics(), "gangplank_test_loss", team="vision", run="mine")
        assert loss.value == 2  # of the newer run, though the older one has ended later


def test_a_deepcopy_keeps_credentials_and_a_handler() -> None:
    calls: list[str] = []
    handler = functools.partial(recorded, calls)
    run = copy.deepcopy(Run("gateway:1", "digits", handler=handler))
    run.record({"loss": 1}, epoch=0)
    run.finish()
    assert calls
    run = copy.deepcopy(Run("http://me:canary@127.0.0.1:1", "digits"))
    assert run._settings.addresses[0].text == "http://me:canary@127.0.0.1:1"  # noqa: SLF001


def test_a_pickle_holds_no_password_and_says_how_to_give_one(caplog: pytest.LogCaptureFixture) -> None:
    run = Run("http://me:canary@127.0.0.1:1", "digits")
    data = pickle.dumps(run)
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
    run = Run("127.0.0.1:1", "digits")
    assert b"canary" not in pickle.dumps(run)
    pickled(pickled(run))
    assert not caplog.records


def test_a_handler_at_the_top_of_a_module_is_pickled() -> None:
    run = Run("gateway:1", "digits", handler=nowhere)
    assert pickled(run)._settings.handler is nowhere  # noqa: SLF001


@pytest.mark.parametrize("name", ["handler", "credentials"])
def test_one_that_cannot_be_pickled_is_refused_with_the_cure(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cloudpickle", raising=False)
    run = Run("127.0.0.1:1", "digits", **{name: lambda *_, **__: ("me", "canary")})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=f"{name}= is a function that cannot be pickled: use a function at"):
        pickle.dumps(run)


def test_cloudpickle_takes_a_lambda_to_another_process() -> None:
    with Gateway() as gateway:
        program = f"""
import cloudpickle, gangplank, sys
from prometheus_client.exposition import default_handler
handler = lambda url, method, timeout, headers, data: default_handler(url, method, timeout, headers, data)
sys.stdout.buffer.write(cloudpickle.dumps(gangplank.Run({gateway.address!r}, "digits", handler=handler)))
"""
        run = pickle.loads(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)
        run.record({"loss": 0.5}, epoch=0)
        run.finish()
        assert next(samples(gateway.metrics(), "gangplank_train_loss")).value == 0.5
