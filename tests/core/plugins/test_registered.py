"""Plugins that a notebook adds to its process, and takes back."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import gangplank
from gangplank import Adapter, ConfigurationError, Delivery, Outcome, RunInfo, Sink, Snapshot, hookimpl, hooks
from gangplank.core.plugins import registry
from gangplank.testing import MemorySink
from support.plugin_runs import python
from support.reading import eventually
from support.strangers import install


class Watches:
    """Notes what it is called with, and on which thread."""

    def __init__(self) -> None:
        self.events: list[tuple[str, object]] = []
        self.runs: set[RunInfo] = set()
        self.threads: set[str] = set()

    def note(self, event: str, run: RunInfo, what: object = None) -> None:
        if run.name != "mine":  # of a test before this one
            return
        self.events.append((event, what))
        self.runs.add(run)
        self.threads.add(threading.current_thread().name)

    @hookimpl
    def gangplank_run_started(self, run: RunInfo) -> None:
        self.note("started", run)

    @hookimpl
    def gangplank_snapshot(self, run: RunInfo, snapshot: Snapshot) -> None:
        self.note("snapshot", run, snapshot.metrics["loss"])

    @hookimpl
    def gangplank_run_finished(self, run: RunInfo, outcome: Outcome) -> None:
        self.note("finished", run, outcome)

    @hookimpl
    def gangplank_delivered(self, run: RunInfo, delivery: Delivery) -> None:
        self.note("delivered", run, (delivery.to, delivery.error))


@pytest.fixture
def watches() -> Iterator[Watches]:
    watches = Watches()
    hooks.register(watches, "watches")
    yield watches
    hooks.unregister("watches")


def train(loss: float = 0.5) -> None:
    with gangplank.run("memory", "digits", run="mine", sink=MemorySink(), ignore_exceptions=False) as run:
        run.record({"loss": loss}, epoch=0)


def test_a_registered_plugin_observes_runs_off_the_training_thread(watches: Watches) -> None:
    train()
    delivered = ("delivered", ("memory", None))
    eventually(lambda: ("finished", Outcome.FINISHED) in watches.events and watches.events.count(delivered) == 3)
    assert [event for event in watches.events if event != delivered] == [
        ("started", None),
        ("snapshot", 0.5),
        ("finished", Outcome.FINISHED),
    ]
    (run,) = watches.runs
    assert (dict(run.group.labels), run.name) == ({"job": "digits", "phase": "train"}, "mine")
    assert watches.threads == {"gangplank-observers"}


def test_an_unregistered_plugin_observes_nothing(watches: Watches) -> None:
    hooks.unregister("watches")
    later = Watches()
    hooks.register(later, "later")
    try:
        train()
        eventually(lambda: ("finished", Outcome.FINISHED) in later.events)
    finally:
        hooks.unregister("later")
    assert watches.events == []
    hooks.register(watches, "watches")  # its name is free again


@pytest.mark.parametrize("name", ["watches", "gangplank"])
def test_a_name_that_is_taken_is_refused(watches: Watches, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{name}' already: choose another name"):
        hooks.register(Watches(), name)


def test_a_hook_with_an_unknown_argument_is_refused() -> None:
    class Wrong:
        @hookimpl
        def gangplank_run_started(self, run: RunInfo, loss: float) -> None: ...

    with pytest.raises(ConfigurationError, match=r"the plugin wrong cannot be used: (.|\n)*loss"):
        hooks.register(Wrong(), "wrong")
    hooks.register(Watches(), "wrong")  # its name is free
    hooks.unregister("wrong")


def test_the_properties_of_a_plugin_are_not_evaluated() -> None:
    class Own(gangplank.Exporter):
        def __init__(self) -> None:
            super().__init__("memory", "digits", sink=MemorySink())
            self.model = "later"

        @property
        def upper(self) -> str:
            return self.model.upper()

    class Broken(Watches):
        @functools.cached_property
        def loss(self) -> float:
            raise AssertionError

    assert Own().upper == "LATER"
    hooks.register(Broken(), "broken")
    hooks.unregister("broken")


def test_a_registered_plugin_opens_addresses_and_adds_info_and_adapters() -> None:
    memory = MemorySink()

    class Cluster:
        @hookimpl
        def gangplank_open_sink(self, address: str) -> Sink | None:
            return memory if address.startswith("cluster://") else None

        @hookimpl
        def gangplank_info(self, run: RunInfo) -> Mapping[str, str]:
            return {"queue": f"{run.name}'s"}

        @hookimpl
        def gangplank_adapters(self) -> list[Adapter]:
            return [Adapter("toy_framework", "toy_framework", "toy_framework:Exporter", "pip install toy_framework")]

    hooks.register(Cluster(), "cluster")
    try:
        with gangplank.run("cluster://here", "digits", run="mine") as run:
            run.record({"loss": 0.5}, epoch=0)
            eventually(lambda: memory.value("gangplank_run_info", queue="mine's"))
        assert "toy_framework" in {adapter.name for _, adapter in registry.adapters()}
    finally:
        hooks.unregister("cluster")
    assert "toy_framework" not in {adapter.name for _, adapter in registry.adapters()}
    with pytest.raises(ConfigurationError, match="cluster://here: the scheme is not built in"):
        gangplank.run("cluster://here", "digits")


def test_an_installed_plugin_cannot_be_unregistered(tmp_path: Path) -> None:
    """Nor can another plugin take its name."""
    source = """
        from gangplank import hookimpl

        @hookimpl
        def gangplank_run_finished(run, outcome):
            print("finished", run.name, flush=True)
    """
    install(tmp_path, "installed", source)
    done = python(
        tmp_path,
        """
import gangplank
from gangplank import hooks
from gangplank.testing import MemorySink
try: hooks.register(object(), "installed")
except gangplank.ConfigurationError as error: print(error, flush=True)
hooks.unregister("installed")
hooks.unregister("not there")
with gangplank.run("memory", "digits", run="mine", sink=MemorySink()) as run:
    run.record({"loss": 0.5}, epoch=0)
""",
    )
    refused, finished = done.stdout.splitlines()
    assert "'installed' already" in refused
    assert finished == "finished mine"
