"""Options: what is refused at construction, and how everything is switched off."""

from __future__ import annotations

from typing import Any

import pytest

import gangplank
from gangplank import ConfigurationError
from support.handlers import Recorder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"job": ""}, "job is empty"),
        ({"job": 3}, "job=3: give text"),
        ({"job": "\udcff"}, "surrogate"),
        ({"address": "gateway"}, "has no port"),
        ({"address": 9091}, "the address is an int: give text such as host:port, a Destination, or a list of these"),
        ({"address": ["gateway:9091", 9091]}, "the address is an int: give text"),
        ({"address": []}, "the address is an empty list: give text"),
        ({"phase": "fit"}, "a phase is one of train"),
        ({"metrics": "loss"}, r'metrics=\["loss"\]'),
        ({"metrics": [1]}, "metrics contains 1"),
        ({"histogram_buckets": [1, 0]}, "increase strictly"),
        ({"histogram_buckets": range(151)}, "151 edges"),
        ({"metrics": 5}, "give a list of names"),
        ({"grouping_key": ["team"]}, "grouping_key is a list"),
        ({"timeout": 10**400}, "a day at most"),
        ({"push_interval": 1e10}, "a day at most"),
        ({"handler": ("me", "canary")}, "handler= is a tuple"),
        ({"address": "http://me:1/x@gateway:9091"}, "write '/' as %2F"),
        ({"histogram_freq": -1}, "histogram_freq"),
        ({"histogram_freq": True}, "histogram_freq"),
        ({"handler": "auth"}, "give a callable"),
        ({"handler": Recorder(), "address": "http://me:secret@gateway:1"}, "credentials"),
        ({"grouping_key": {"run": "x"}}, "rename it"),
        ({"grouping_key": {"host": "x"}}, "rename it"),
        ({"grouping_key": {"team": "x"}, "info": {"team": "y"}}, "rename it"),
        ({"grouping_key": {"team": ""}}, "treats an empty label as a missing one"),
        ({"info": {"le": "x"}}, "rename it"),
        ({"run": ""}, "run is empty"),
        ({"concurrent": True, "run": None}, "concurrent=True"),
        ({"timeout": 0}, "timeout=0: give seconds"),
        ({"timeout": float("nan")}, "timeout=nan"),
        ({"flush_timeout": -1}, "flush_timeout=-1"),
        ({"push_interval": "15"}, "push_interval='15'"),
    ],
)
def test_a_mistake_is_refused_before_any_training(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        gangplank.run(**{"address": "gateway:9091", "job": "digits", **options})


def test_a_phase_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="a phase is one of train"):
        gangplank.Exporter("gateway:9091", "digits").run("fit")


@pytest.mark.parametrize("off", ["1", "true"])
def test_disabled_it_does_nothing(off: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANGPLANK_DISABLED", off)
    handler = Recorder()
    with gangplank.run("gateway:1", "digits", handler=handler, ignore_exceptions=False) as run:
        run.record({"loss": "text"}, epoch=0)
    assert not handler.calls


@pytest.mark.parametrize("on", ["", "0"])
def test_disabled_with_nothing_is_enabled(on: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANGPLANK_DISABLED", on)
    handler = Recorder()
    # A gateway of its own: one that took nothing in another test is not waited for.
    with gangplank.run("enabled:1", "digits", handler=handler) as run:
        run.record({"loss": 1}, epoch=0)
    assert handler.calls
