"""Faults of our own: whatever breaks inside, wherever, no hook raises, and a strict exporter says what it was."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np
import pytest

import gangplank
from gangplank import Exporter, ExportError, Run
from gangplank.core import environment, exporter, labels, lifetime, log, run, worker
from gangplank.core import types as data
from gangplank.core.delivery import destinations, opening, outbox, pending, turns
from gangplank.core.page import families, latest, names, page, text
from gangplank.core.plugins import loading, observers, registry
from gangplank.core.recording import activities, numbers, recorder, steps
from gangplank.core.sinks import connection, credentials, hidden, http, pushgateway, twin
from gangplank.core.weights import arrays, histogram
from gangplank.testing.gateway import Gateway
from support.reading import eventually, samples

ROOMS = (
    *(environment, exporter, labels, lifetime, log, run, data, worker),
    *(activities, numbers, recorder, steps),
    *(arrays, histogram),
    *(latest, names, page, families, text),
    *(destinations, opening, outbox, pending, turns),
    *(connection, credentials, hidden, http, pushgateway, twin),
    *(loading, observers, registry),
)
# The doors themselves, and what is done before any training.
NOT_INTERNAL = {
    *(
        f"Run.{name}"
        for name in ("record", "step", "finish", "begin_epoch", "begin_activity", "activity", "checkpoint")
    ),
    *("Lifetime.start", "Lifetime.open", "Lifetime.guard", "Exporter.guard", "Exporter.run"),
    *("Log.guard", "Log.warn_once", "Log.warn_throttled", "Log.recovered"),
    *("Log.warn_of_each", "Log.log_waiting"),
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
                    code = getattr(getattr(function, "fget", function), "__code__", None)
                    is_ours = code is not None and code.co_filename == room.__file__  # not what an enum brings
                    if is_ours and f"{name}.{method}" not in NOT_INTERNAL:
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
    families.upper_bounds.cache_clear()  # it would not call what breaks
    found = vars(owner)[name]
    place: Any
    if isinstance(found, property):
        place = property(lambda *_: fault())
    else:
        place = _raising(fault) if not hasattr(found, "gangplank_impl") else _raising_hook(fault, found)
    for where in (owner, *(room for room in ROOMS if vars(room).get(name) is found)):
        monkeypatch.setattr(where, name, place)
    return fault


def _raising(fault: Fault) -> Callable[..., Any]:
    """Return a function, so that it is called as a method where it stands for one."""
    return lambda *_, **__: fault()


def _raising_hook(fault: Fault, hook: Any) -> Callable[..., Any]:
    """Return what a plugin manager takes for this implementation of a hook: a wrapper is a generator function."""

    def wrapper(*_: object) -> Generator[None, Any, Any]:
        fault()
        yield

    raising: Any = wrapper if inspect.isgeneratorfunction(hook) else _raising(fault)
    raising.gangplank_impl = hook.gangplank_impl
    return raising  # type: ignore[no-any-return]


def exporters(gateway: Gateway) -> list[Exporter]:
    """Return an exporter to a gateway, one to nowhere, and one whose pages are not wanted."""
    return [
        Exporter(
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
            (f"http://me:canary@{gateway.address}/nowhere", True),
        )
    ]


def value_of(gateway: Gateway, name: str) -> float | None:
    return next((sample.value for sample in samples(gateway.metrics(), name)), None)


def train(training: Run) -> None:
    """Go through every hook."""
    training.start(epochs=2)
    for epoch in range(2):
        training.begin_epoch()
        training.begin_activity("train")
        with training.activity("validate"):
            pass
        training.checkpoint(epoch)
        training.step({"loss": 1}, step=epoch, duration=0.1, data_wait=0.1)
        training.record(
            {"loss": 1, "text": "a", "a/b": 2, "": 3},
            epoch=epoch,
            learning_rates=0.1,
            weights=[np.ones(3), np.ones(2)],
        )
    training.finish()


def test_there_is_something_to_break() -> None:
    assert {"Latest.update", "Outbox.wake", "numbers.scalar", "MetricNames.add", "http.request"} <= INTERNALS.keys()
    assert len(INTERNALS) > 150


# What such a training does not call: it comes before, at a heartbeat, a fork, the end of the process, or with a plugin.
NOT_CALLED = {
    *("Destinations.is_due", "Outbox.is_due", "Outbox.drop", "Outbox.drop_if_unchanged", "observers.warn_raised"),
    *("Run.epochs", "Run.exports_steps", "Run.parameters"),
    *(
        "Lifetime.end_if_lost",
        "Lifetime.end_if_over",
        "Lifetime.detach",
        "Lifetime._fill_in",
        "Lifetime.__del__",
        "Lifetime.lose",
    ),
    *("OpenRun.open", "OpenRun.watched", "OpenRun.end_if_lost"),
    *("Turns._may_end", "Destinations._await", "ending._nothing_runs", "ending.at_the_end_of_a_child"),
    *("Exporter.addresses", "Exporter.ignore_exceptions", "Exporter.per_rank", "Exporter.abandon", "Exporter.close"),
    *("exporter.run", "Exporter._take_info", "Exporter._with", "Log.reset", "log.describe"),
    *("Destinations.addresses", "Destinations.reset", "Destinations.flush", "Destinations.abandon"),
    *("Destinations.close", "_Pusher.reset", "opening.open_sinks", "opening._open"),
    *("Outbox.undelivered", "Outbox.abandon", "Source.group", "Source.running"),
    *("Latest.add_info", "Page.identified", "Page.collect", "Family.metric", "Block.samples", "names._digest"),
    *("Pushgateway.authenticates", "Pushgateway.exposed", "Pushgateway.close", "Pushgateway._version"),
    *("Pushgateway._hand_over", "pushgateway._authorization_in"),
    *("Access.tls", "credentials.access_to", "credentials.is_exposed", "hidden.hide", "hidden.reveal"),
    *("hidden._unescaped", "hidden._meaning"),
    *("_DeadlineSocket.close", "twin._deletion"),
    *("Observers.add", "Observers.remove", "Observers.reset", "Observers.retry_now", "Observers.flush"),
    *("Observers._change", "Observers._call_all"),
    *(
        "loading.manager",
        "_Manager.parse_hookimpl_opts",
        "loading.installed",
        "loading.loaded",
        "loading.refuse_duplicates",
        "loading._entries",
        "loading._entries_of",
    ),
    *("loading._from_entry_point", "loading._source", "loading._switched_off_by", "loading._names"),
    *("registry.register", "registry.unregister", "registry.exporter_hooks", "registry.open_sink"),
    *("registry.adapters", "registry._others", "registry._checked_sink", "registry._checked_adapter"),
    *("environment._owner", "environment._pod", "environment._script_folder"),
    *("environment._git_commit", "environment._head", "environment._text"),
    *("labels.check_phase", "labels.check_value", "labels.check_labels"),
    *("RunView.group", "RunView.name"),
    # Of models and tensors of the frameworks.
    *("arrays._size", "arrays._once", "arrays._parameters", "arrays._of_variable", "arrays._of_tensor"),
}
# An exporter keeps these as it finds them, as its plugin manager keeps the hooks.
KEPT = {"Destinations.is_due", "Exporter._delivered", "_Pusher._note", "_Pusher._send", "Outbox._run"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("label", INTERNALS)
def test_no_hook_raises_whatever_breaks(label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what breaks once ends nothing for good: the same exporter sends again."""
    owner, name = INTERNALS[label]
    is_kept = label in KEPT or hasattr(vars(owner)[name], "gangplank_impl")
    with Gateway() as gateway:
        broken = break_one(monkeypatch, label, OwnFaultError) if is_kept else None
        made = exporters(gateway)
        trainings = [one.run() for one in made]
        fault = broken or break_one(monkeypatch, label, OwnFaultError)
        for training in trainings:
            train(training)
        eventually(lambda: fault.hits or label in NOT_CALLED)
        monkeypatch.undo()
        with (exporters(gateway) if is_kept else made)[0].run("test") as again:
            again.record({"loss": 0.25})
        eventually(lambda: value_of(gateway, "gangplank_test_loss") == 0.25)


def test_what_breaks_as_a_delivery_is_noted_ends_no_sending(caplog: pytest.LogCaptureFixture) -> None:
    """Neither for good, nor of this page; and it is said."""
    with Gateway() as gateway, pytest.MonkeyPatch.context() as patch:
        fault = break_one(patch, "Exporter._delivered", OwnFaultError)
        with Exporter(gateway.address, "digits").run() as training:
            for epoch in range(3):
                training.record({"loss": 1 / (epoch + 1)}, epoch=epoch)
                eventually(lambda epoch=epoch: value_of(gateway, "gangplank_train_loss") == 1 / (epoch + 1))  # type: ignore[misc]
        assert fault.hits >= 3
        assert "noting a delivery failed: OwnFaultError" in caplog.text


@pytest.mark.parametrize(
    "label", ["Latest.update", "Outbox.wake", "MetricNames.add", "Selection.scalars", "Snapshot.updated"]
)
def test_a_strict_exporter_says_what_broke(label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Gateway() as gateway:
        training = gangplank.run(gateway.address, "digits", ignore_exceptions=False)
        break_one(monkeypatch, label, OwnFaultError)
        with pytest.raises(ExportError, match="OwnFaultError"):
            train(training)
        monkeypatch.undo()
        training.finish(ValueError())


@pytest.mark.parametrize("ignore_exceptions", [True, False])
@pytest.mark.parametrize("label", ["Latest.update", "Outbox.wake", "Selection.scalars", "histogram.count_tensors"])
def test_what_is_no_exception_passes(label: str, ignore_exceptions: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with Gateway() as gateway:
        training = gangplank.run(
            gateway.address, "digits", histogram_buckets=[0.0], ignore_exceptions=ignore_exceptions, flush_timeout=0.1
        )
        break_one(monkeypatch, label, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            train(training)
        monkeypatch.undo()
        training.finish(KeyboardInterrupt())
