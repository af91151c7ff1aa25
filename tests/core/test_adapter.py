"""What the exporters of all adapters have in common."""

from __future__ import annotations

import contextlib
import copy
import gc
import pickle
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Unpack

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gangplank import AdapterExporter, ConfigurationError, Exporter, ExporterOptions
from gangplank.testing import MemorySink
from support.reading import eventually

MEMORY = MemorySink()


class Trainer:
    """A framework's object for a fit."""

    completed = 0


class Framework:
    """A framework's callback."""


class ToyExporter(AdapterExporter, Framework):
    def __init__(self, address: str, job: str, **options: Unpack[ExporterOptions]) -> None:
        super().__init__()
        self.export_with(Exporter(address, job, framework={"framework": "toy_framework"}, **options))

    def begin(self, trainer: Trainer) -> None:
        self.calls[trainer] = self.new_run("train")

    def epoch(self, trainer: Trainer, loss: float = 0.5) -> None:
        if trainer not in self.calls:
            self.begin(trainer)
        self.calls[trainer].record({"loss": loss}, epoch=trainer.completed)
        trainer.completed += 1

    def end(self, trainer: Trainer, error: BaseException | None = None) -> None:
        self.calls.pop(trainer).finish(error)


def ends() -> list[tuple[str, int | None]]:
    """Return the newest state of each run that was shown, with its completed epochs, in the order of their begins."""
    newest = {page.labels["run"]: (page.state, page.newest.epoch) for page in MEMORY.pages}
    return list(newest.values())


def to_memory() -> ToyExporter:
    """Return an exporter whose pages all arrive, also of runs that others have overtaken."""
    return ToyExporter("memory", "digits", sink=MEMORY, concurrent=True, ignore_exceptions=False)


@pytest.fixture
def exporter() -> ToyExporter:
    MEMORY.pages.clear()
    return to_memory()


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Have only the count of references delete objects."""
    gc.disable()
    yield
    gc.enable()


EVERY_ORDER = to_memory()
INSIDE = [(0, "epoch"), (1, "epoch"), (1, "epoch"), (1, "end"), (0, "epoch"), (0, "end")]


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["epoch", "epoch", "end", "fail"])), max_size=12))
@example(INSIDE)
def test_fits_inside_and_beside_each_other_keep_to_themselves(steps: list[tuple[int, str]]) -> None:
    MEMORY.pages.clear()
    fits: list[tuple[str, int]] = []
    current: dict[int, tuple[int, Trainer]] = {}
    for number, step in [*steps, (0, "end"), (1, "end"), (2, "end")]:
        if step == "epoch":
            if number not in current:
                current[number] = len(fits), Trainer()
                fits.append(("running", 0))
            place, trainer = current[number]
            EVERY_ORDER.epoch(trainer)
            fits[place] = ("running", trainer.completed)
        elif number in current:
            place, trainer = current.pop(number)
            EVERY_ORDER.end(trainer, ZeroDivisionError() if step == "fail" else None)
            fits[place] = ("failed" if step == "fail" else "finished", trainer.completed)
    assert ends() == fits


def test_a_fit_that_was_broken_off_has_failed_and_the_next_is_a_run_of_its_own(exporter: ToyExporter) -> None:
    with contextlib.suppress(ZeroDivisionError):
        exporter.epoch(Trainer())
        raise ZeroDivisionError
    eventually(lambda: ends() == [("failed", 1)])
    trainer = Trainer()
    for _ in range(2):
        exporter.epoch(trainer)
    exporter.end(trainer)
    assert ends() == [("failed", 1), ("finished", 2)]
    assert MEMORY.pages[-1].info["framework"] == "toy_framework"


def test_a_fit_that_begins_again_with_the_same_object_replaces_what_was_broken_off(exporter: ToyExporter) -> None:
    trainer = Trainer()
    exporter.epoch(trainer)
    exporter.begin(trainer)
    eventually(lambda: ends() == [("failed", 1)])
    exporter.epoch(trainer)
    exporter.end(trainer)
    assert ends() == [("failed", 1), ("finished", 2)]


@pytest.mark.usefixtures("no_collection")
def test_an_entry_goes_with_its_key_and_its_run_has_failed(exporter: ToyExporter) -> None:
    trainer = Trainer()
    reference = weakref.ref(trainer)
    exporter.epoch(trainer)
    assert ends() == [("running", 1)]
    del trainer
    assert reference() is None
    assert not exporter.calls
    eventually(lambda: ends() == [("failed", 1)])


def test_a_run_that_nothing_keeps_has_failed(exporter: ToyExporter) -> None:
    exporter.new_run("train").record({"loss": 0.5}, epoch=0)
    eventually(lambda: ends() == [("failed", 1)])


@pytest.mark.parametrize(
    ("error", "state"), [(None, "finished"), (ZeroDivisionError, "failed"), (KeyboardInterrupt, "interrupted")]
)
def test_as_a_context_manager_it_ends_its_runs_as_the_block_ends(
    exporter: ToyExporter, error: type[BaseException] | None, state: str
) -> None:
    first, second = Trainer(), Trainer()
    with contextlib.suppress(ZeroDivisionError, KeyboardInterrupt), exporter:
        for trainer in (first, second, first):
            exporter.epoch(trainer)
        if error is not None:
            raise error
    assert ends() == [(state, 2), (state, 1)]
    assert MEMORY.pages[-1].newest.epoch == 1, (
        "the newest run ends last, so that it is the one shown if they share a group"
    )


def test_a_block_leaves_alone_what_began_before_it(exporter: ToyExporter) -> None:
    outer, inner = Trainer(), Trainer()
    with contextlib.suppress(ZeroDivisionError), exporter:
        exporter.epoch(outer)
        with contextlib.suppress(KeyboardInterrupt), exporter:
            exporter.epoch(inner)
            raise KeyboardInterrupt
        assert ends() == [("running", 1), ("interrupted", 1)]
        exporter.epoch(outer)
        raise ZeroDivisionError
    assert ends() == [("failed", 2), ("interrupted", 1)]


def test_a_block_on_another_thread_leaves_the_run_alone(exporter: ToyExporter) -> None:
    both_begun, one_ended = threading.Barrier(2, timeout=10), threading.Event()

    def break_off() -> None:
        with contextlib.suppress(ZeroDivisionError), exporter:
            trainer = Trainer()
            exporter.epoch(trainer)
            both_begun.wait()
            raise ZeroDivisionError
        one_ended.set()

    def go_on() -> None:
        with exporter:
            trainer = Trainer()
            exporter.epoch(trainer)
            both_begun.wait()
            assert one_ended.wait(10)
            exporter.epoch(trainer)

    with ThreadPoolExecutor() as threads:
        for fit in [threads.submit(break_off), threads.submit(go_on)]:
            fit.result()
    assert sorted(ends()) == [("failed", 1), ("finished", 2)]


def test_a_block_ends_what_began_on_a_thread_without_one(exporter: ToyExporter) -> None:
    trainer = Trainer()
    with exporter, ThreadPoolExecutor() as threads:
        threads.submit(exporter.epoch, trainer).result()
        assert ends() == [("running", 1)]
    assert ends() == [("finished", 1)]


def test_a_phase_that_does_not_exist_is_refused(exporter: ToyExporter) -> None:
    with pytest.raises(ConfigurationError, match="a phase is one of train"):
        exporter.new_run("fit")


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_has_the_options_and_no_calls(exporter: ToyExporter, copied: Callable[[Any], Any]) -> None:
    trainer = Trainer()
    with exporter:
        exporter.epoch(trainer)
        other = copied(exporter)
        assert type(other) is ToyExporter
        assert not other.calls
        assert trainer in exporter.calls
        assert other.addresses == exporter.addresses == ("memory",)
        with other:
            other.epoch(trainer)
        assert ends() == [("running", 1), ("finished", 2)]
        with pytest.raises(ZeroDivisionError), other:
            raise ZeroDivisionError
    assert ends() == [("finished", 1), ("finished", 2)], "the run of the original goes on to its own end"


def test_a_pickle_has_the_options_and_no_calls() -> None:
    original, trainer = ToyExporter("127.0.0.1:1", "digits", grouping_key={"team": "vision"}), Trainer()
    original.begin(trainer)
    other = pickle.loads(pickle.dumps(original))
    assert not other.calls
    assert trainer in original.calls
    assert other.addresses == ("http://127.0.0.1:1",)
    run = other.new_run("test")
    run.start()
    assert dict(run.group.labels) == {"job": "digits", "phase": "test", "team": "vision"}


class Forgetful(AdapterExporter):
    """An exporter whose author has not read on."""


@pytest.mark.parametrize(
    "use",
    [
        lambda exporter: exporter.new_run("train"),
        lambda exporter: exporter.calls,
        lambda exporter: exporter.guard("recording"),
        lambda exporter: exporter.addresses,
        lambda exporter: exporter.close(),
        lambda exporter: exporter.__enter__(),
    ],
    ids=["new_run", "calls", "guard", "addresses", "close", "with"],
)
def test_one_without_an_exporter_says_what_is_missing(use: Callable[[Any], Any]) -> None:
    with pytest.raises(AttributeError, match=r"^Forgetful has no Exporter yet: .* self\.export_with\(Exporter"):
        use(Forgetful())
