"""A run name used with `concurrent=True` and without: a gateway refuses the same series in two groups."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from prometheus_client.exposition import default_handler

import gangplank
from gangplank import DeliveryError
from gangplank.cli import main
from gangplank.testing.gateway import Gateway
from support.gateway_faults import put
from support.logged import warnings
from support.reading import samples, value
from support.servers import Server

# What else the two runs have in common.
COMMON: dict[str, dict[str, Any]] = {
    "nothing else": {},
    "a label": {"grouping_key": {"team": "a b"}},
    "a rank": {"per_rank": True},
    "a histogram": {"histogram_buckets": [edge / 1000 for edge in range(150)]},
}


def record(address: str, loss: float, **options: Any) -> None:
    with gangplank.run(address, "digits", **{"run": "x", **options}) as run:
        run.record({"loss": loss}, epoch=0, weights=[1.0])


@pytest.mark.parametrize("concurrent", [False, True])
@pytest.mark.parametrize("common", COMMON)
def test_the_error_names_both_and_what_it_suggests_works(
    gateway: Server, common: str, concurrent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = COMMON[common]
    record(gateway.address, 0.5, concurrent=not concurrent, **options)
    run = gangplank.run(gateway.address, "digits", run="x", concurrent=concurrent, ignore_exceptions=False, **options)
    with pytest.raises(DeliveryError, match=r"answered 400, since another group has the same series") as refused:
        run.start(epochs=1)
    said = str(refused.value)
    assert f"from a run of this name {'without' if concurrent else 'with'} concurrent=True" in said
    assert ("run='x'" in said) is not concurrent
    assert "or give run= another name" in said
    command = re.search("`gangplank (delete [^`]*)`", said)
    assert command
    assert value(gateway, "gangplank_train_loss", run="x") == 0.5
    assert main([*shlex.split(command[1]), "--yes"]) == 0
    assert value(gateway, "gangplank_train_loss", run="x") is None
    run.record({"loss": 0.25}, epoch=0)
    assert value(gateway, "gangplank_train_loss", run="x") == 0.25
    run.finish()


def test_the_first_refusal_is_logged_with_the_fix(gateway: Server, caplog: pytest.LogCaptureFixture) -> None:
    record(gateway.address, 0.5)
    with gangplank.run(gateway.address, "digits", run="x", concurrent=True) as run:
        for epoch in range(5):
            run.record({"loss": 0.25}, epoch=epoch)
    (line,) = warnings(caplog)
    assert "Metrics of job='digits', phase='train', run='x' did not arrive" in line
    assert "probably job='digits', phase='train', from a run of this name without concurrent=True" in line
    assert f"`gangplank delete http://{gateway.address} --job digits --phase train --label run=`" in line


def test_a_handler_that_sends_gets_the_same_advice(gateway: Server) -> None:
    record(gateway.address, 0.5)
    with pytest.raises(DeliveryError, match="since another group has the same series"):
        record(gateway.address, 0.25, concurrent=True, handler=default_handler, ignore_exceptions=False)


@pytest.mark.parametrize("concurrent", [False, True])
def test_the_embedded_gateway_refuses_it_as_well(concurrent: bool) -> None:
    with Gateway() as gateway:
        record(gateway.address, 0.5, concurrent=not concurrent)
        with pytest.raises(DeliveryError, match="since another group has the same series"):
            record(gateway.address, 0.25, concurrent=concurrent, ignore_exceptions=False)


@pytest.mark.parametrize(
    "options", [{"run": "y", "concurrent": True}, {"run": "auto", "concurrent": True}, {"run": None}, {}]
)
def test_other_names_are_accepted(gateway: Server, options: dict[str, Any]) -> None:
    record(gateway.address, 0.5)
    record(gateway.address, 0.25, **options, ignore_exceptions=False)
    assert 0.25 in {one.value for one in samples(gateway.metrics(), "gangplank_train_loss")}


def test_another_refusal_is_no_reason_for_the_advice(gateway: Server) -> None:
    put(gateway, "other", "# TYPE gangplank_train_loss counter\ngangplank_train_loss 1\n")
    with pytest.raises(DeliveryError, match="answered 400: pushed metrics"):
        record(gateway.address, 0.5, ignore_exceptions=False)
