"""Faults of our own: whatever breaks inside, wherever, no hook raises, and a strict exporter says what it was."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gangplank import ExportError, Run
from gangplank.core import (
    delivery,
    exporting,
    exposition,
    histogram,
    info,
    ledger,
    naming,
    observers,
    outbox,
    page,
    plugins,
    recorder,
    report,
    run,
    scalar,
    selection,
    steps,
)
from gangplank.core.sinks import pushgateway, transport
from gangplank.testing.gateway import Gateway
from reading import eventually

ROOMS = (
    *(
        delivery,
        exporting,
        exposition,
        histogram,
        info,
        ledger,
        naming,
        observers,
        outbox,
        page,
        plugins,
        recorder,
        report,
        run,
    ),
    *(scalar, selection, steps, pushgateway, transport),
)
# The doors themselves, and what is done before any training.
NOT_INTERNAL = {
    *(f"Run.{name}" for name in ("start", "record", "step", "finish", "begin_epoch", "open")),
    *("Exporting.guard", "Exporting.phase"),
    *("Report.guard", "Report.once", "Report.trouble", "Report.recovered"),
    *("_DeadlineSocket.hang_up",),  # one that fails leaves a socket behind, which the tests report
}


def internals() -> Iterator[tuple[Any, str, str]]:
    """Yield the owner and the name of each function and method of the core that a running training calls."""
    for room in ROOMS:
        for name, found in vars(room).items():
            if getattr(found, "__module__", None) != room.__name__:
                continue
            if isinstance(found, types.FunctionType):
                yield room, name, f"{room.__name__.rpartition('.')[2]}.{name}"
            elif inspect.isclass(found):
                for method, function in vars(found).items():
                    if isinstance(function, types.FunctionType | property) and f"{name}.{method}" not in NOT_INTERNAL:
                        yield found, method, f"{name}.{method}"


INTERNALS = {label: (owner, name) for owner, name, label in internals() if not label.endswith("__")}


class OwnFaultError(Exception):
    """Nothing that anyone expects."""


class Fault:
    """Raises whenever it is called, and counts."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error
        self.hits = 0

    def __call__(self, *_: Any, **__: Any) -> Any:
        self.hits += 1
        raise self.error


def break_one(monkeypatch: pytest.MonkeyPatch, label: str, error: type[BaseException]) -> Fault:
    """Put a fault in the place of a function, in every room that has it."""
    owner, name = INTERNALS[label]
    fault = Fault(error)
    exposition.upper_bounds.cache_clear()  # it would not call what breaks
    found = vars(owner)[name]
    # A function, so that it is called as a method where it stands for one.
    place: Any = property(lambda *_: fault()) if isinstance(found, property) else (lambda *_, **__: fault())
    for where in (owner, *(room for room in ROOMS if vars(room).get(name) is found)):
        monkeypatch.setattr(where, name, place)
    return fault


def train(training: Run) -> None:
    """Go through every hook."""
    training.start(epochs=2)
    for epoch in range(2):
        training.begin_epoch()
        training.step({"loss": 1}, step=epoch, duration=0.1, data_wait=0.1)
        training.record(
            {"loss": 1, "text": "a", "a/b": 2, "": 3},
            epoch=epoch,
            learning_rates=0.1,
            weights=[np.ones(3), np.ones(2)],
        )
    training.finish()


def test_there_is_something_to_break() -> None:
    assert {"Ledger.update", "Outbox.wake", "scalar.scalar", "MetricNames.add", "transport.request"} <= INTERNALS.keys()
    assert len(INTERNALS) > 60


# What such a training does not call: it comes before, at a heartbeat, a fork, the end of the process, or with a plugin.
NOT_CALLED = {
    *("Exporting._prepare", "Exporting._begin", "Exporting.addresses", "Exporting.close", "exporting._tell"),
    *("Run._begin", "Run.epochs", "Run.exports_steps", "Run._check", "Run._take_info", "Report.renew"),
    *("Run.group", "Run.name", "Run.parameters", "Run.leave", "Observers.tell"),
    *("Destinations.addresses", "Destinations.renew", "Destinations.hurry", "Destinations.flush_until"),
    *("Destinations.close", "Destination.renew", "Destination._send", "_DeadlineSocket.close"),
    *("Outbox.hurry", "Outbox.undelivered", "Ledger.add_info", "Page.identified"),
    *("Pushgateway.authenticates", "Pushgateway.exposed", "Pushgateway.close", "Pushgateway._version"),
    *("Observers.renew", "Observers.hurry", "Observers.flush_until", "Observers._run", "plugins._manager"),
    *("plugins.load", "plugins.register", "plugins.open_sink", "plugins.adapters", "plugins._checked"),
    *("plugins._installed", "plugins._loaded", "plugins._source", "plugins._switched_off", "plugins._names"),
    *("plugins._refuse_two_of_a_name", "plugins._raised", "plugins._checked_sink", "plugins._entries"),
    *("plugins.unregister", "report.told"),
    *("info._owner", "info._script_folder", "info._git_commit", "info._head"),
    *("naming._digest", "naming.check_phase", "naming.check_value", "naming.check_labels"),
    *("Source.group", "Source.running", "Source.check"),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("label", INTERNALS)
def test_no_hook_raises_whatever_breaks(label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Gateway() as gateway:
        trainings = [
            Run(
                *(address, "digits"),
                histogram_buckets=[0.0],
                per_tensor=apart,
                update_freq="batch",
                flush_timeout=0.1,
                timeout=1,
            )
            for address, apart in (
                (gateway.address, True),
                ("127.0.0.1:1", False),
                (f"{gateway.address}/nowhere", True),
            )
        ]
        fault = break_one(monkeypatch, label, OwnFaultError)
        for training in trainings:
            train(training)
        eventually(lambda: fault.hits or label in NOT_CALLED)
        monkeypatch.undo()


@pytest.mark.parametrize(
    "label", ["Ledger.update", "Outbox.wake", "MetricNames.add", "Selection.scalars", "ledger._newest"]
)
def test_a_strict_exporter_says_what_broke(label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Gateway() as gateway:
        training = Run(gateway.address, "digits", ignore_exceptions=False)
        break_one(monkeypatch, label, OwnFaultError)
        with pytest.raises(ExportError, match="OwnFaultError"):
            train(training)
        monkeypatch.undo()
        training.finish(ValueError())


@pytest.mark.parametrize("ignore_exceptions", [True, False])
@pytest.mark.parametrize("label", ["Ledger.update", "Outbox.wake", "Selection.scalars", "histogram.count_weights"])
def test_what_is_no_exception_passes(label: str, ignore_exceptions: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with Gateway() as gateway:
        training = Run(
            gateway.address, "digits", histogram_buckets=[0.0], ignore_exceptions=ignore_exceptions, flush_timeout=0.1
        )
        break_one(monkeypatch, label, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            train(training)
        monkeypatch.undo()
        training.finish(KeyboardInterrupt())
