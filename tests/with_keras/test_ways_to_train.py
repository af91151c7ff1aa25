"""The ways in which people really train: they catch, repeat, nest, wrap, thread, break off and loop by hand."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from gangplank import TrainTestExporter
from gangplank.core.delivery import outbox
from gangplank.testing import MemorySink
from support.ended import Shown, runs
from support.keras_fits import Data, compiled, fit
from support.reading import eventually, value
from support.seeding import seed
from support.servers import Server


def exporter(memory: MemorySink, **options: Any) -> TrainTestExporter:
    return TrainTestExporter("memory", "digits", sink=memory, **options)


class Calls(keras.callbacks.Callback):  # type: ignore[misc]
    """Calls something at the end of an epoch."""

    def __init__(self, call: Callable[[], object], *, epoch: int = 1) -> None:
        super().__init__()
        self.call, self.epoch = call, epoch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch:
            self.call()


def fails() -> None:
    raise ValueError("mine")


def a_model(units: int = 4) -> keras.Model:
    seed(2)
    return compiled(
        keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(units), keras.layers.Dense(3, "softmax")])
    )


@pytest.fixture
def memory() -> MemorySink:
    return MemorySink()


def caught(model: keras.Model, data: Data, callback: TrainTestExporter, epochs: int = 5) -> None:
    with contextlib.suppress(ValueError):
        fit(model, data, callback, Calls(fails), epochs=epochs)


def caught_and_held(model: keras.Model, data: Data, callback: TrainTestExporter, epochs: int = 5) -> None:
    try:
        fit(model, data, callback, Calls(fails), epochs=epochs)
    except ValueError as error:
        HELD.append(error)


HELD: list[BaseException] = []


@pytest.mark.parametrize("fails_as", [caught, caught_and_held])
def test_a_fit_that_is_caught_and_begun_again_are_two_runs(
    memory: MemorySink, model: keras.Model, data: Data, fails_as: Callable[..., None]
) -> None:
    callback = exporter(memory)
    for _ in range(3):
        fails_as(model, data, callback)
    fit(model, data, callback, epochs=3)
    failed = Shown("failed", 2, 5)
    assert runs(memory) == [failed, failed, failed, Shown("finished", 3, 3)]
    HELD.clear()


def test_a_fit_that_is_begun_again_while_its_exception_is_handled(
    memory: MemorySink, model: keras.Model, data: Data
) -> None:
    callback = exporter(memory)
    for error, state in ((ValueError("mine"), "failed"), (KeyboardInterrupt(), "interrupted")):

        def stops(error: BaseException = error) -> None:
            raise error

        try:
            fit(model, data, callback, Calls(stops), epochs=5)
        except (ValueError, KeyboardInterrupt):
            fit(model, data, callback, epochs=2)
        assert runs(memory)[-2:] == [Shown(state, 2, 5), Shown("finished", 2, 2)]


def test_an_evaluation_after_ctrl_c_while_it_is_handled(memory: MemorySink, model: keras.Model, data: Data) -> None:
    def stops() -> None:
        raise KeyboardInterrupt

    callback = exporter(memory)
    try:
        fit(model, data, callback, Calls(stops), epochs=5)
    except KeyboardInterrupt:
        model.evaluate(*data, callbacks=[callback], verbose=0)
    assert runs(memory) == [Shown("interrupted", 2, 5)]
    assert [one.state for one in runs(memory, "test")] == ["finished"]


def test_a_fit_that_has_died_shows_as_failed_although_the_process_goes_on(
    memory: MemorySink, model: keras.Model, data: Data
) -> None:
    dead, other = exporter(memory), MemorySink()
    caught(model, data, dead)
    eventually(lambda: runs(memory) == [Shown("failed", 2, 5)])  # without a heartbeat
    fit(model, data, exporter(other), epochs=2)
    assert runs(memory) == [Shown("failed", 2, 5)]


def test_a_fit_whose_exception_is_kept_shows_as_failed_at_the_heartbeat(
    memory: MemorySink, model: keras.Model, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "HEARTBEAT", 0.05)
    caught_and_held(model, data, exporter(memory))
    eventually(lambda: runs(memory) == [Shown("failed", 2, 5)])
    HELD.clear()


# Loops by hand


def loop(model: keras.Model, data: Data, callbacks: keras.callbacks.CallbackList, stop_at: int | None = None) -> None:
    """A training loop of the user's, as Keras' guides show it."""
    callbacks.on_train_begin()
    for epoch in range(3):
        callbacks.on_epoch_begin(epoch)
        logs = model.train_on_batch(*data, return_dict=True)
        if epoch == stop_at:
            raise ValueError("mine")
        callbacks.on_epoch_end(epoch, logs)
    callbacks.on_train_end()


def test_a_loop_by_hand_is_exported_and_what_is_not_known_is_left_out(
    memory: MemorySink, model: keras.Model, data: Data, caplog: pytest.LogCaptureFixture
) -> None:
    loop(model, data, keras.callbacks.CallbackList([exporter(memory)], model=model))
    assert runs(memory) == [Shown("finished", 3, None)]
    assert memory.value("gangplank_train_loss") is not None
    assert memory.value("gangplank_run_step") == 3
    loop(model, data, keras.callbacks.CallbackList([exporter(memory)]))
    assert runs(memory)[1] == Shown("finished", 3, None)
    assert memory.value("gangplank_run_step") is None
    loop(model, data, keras.callbacks.CallbackList([exporter(memory)], model=model, epochs=3))
    assert runs(memory)[2] == Shown("finished", 3, 3)
    assert not caplog.records


@pytest.mark.parametrize("again", ["the same list", "another list"])
def test_a_loop_that_is_broken_off_and_begun_again_are_two_runs(
    memory: MemorySink, model: keras.Model, data: Data, again: str
) -> None:
    callback = exporter(memory)
    callbacks = keras.callbacks.CallbackList([callback], model=model)
    with pytest.raises(ValueError, match="mine"):
        loop(model, data, callbacks, stop_at=1)
    if again == "another list":
        callbacks = keras.callbacks.CallbackList([callback], model=model)
        gc.collect()  # pytest's traceback refers to the list
    loop(model, data, callbacks)
    assert runs(memory)[-1] == Shown("finished", 3, None)
    if again == "the same list":
        assert runs(memory) == [Shown("failed", 1, None), Shown("finished", 3, None)]
    else:
        assert len(runs(memory)) == 2


class Wraps(keras.callbacks.Callback):  # type: ignore[misc]
    """A callback that passes on what it needs itself, and nothing else."""

    def __init__(self, inner: keras.callbacks.Callback) -> None:
        super().__init__()
        self.inner = inner

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.inner.on_epoch_end(epoch, logs)

    def on_train_end(self, logs: Any = None) -> None:
        self.inner.on_train_end(logs)


def test_a_callback_that_wraps_the_exporter_exports(
    memory: MemorySink, model: keras.Model, data: Data, caplog: pytest.LogCaptureFixture
) -> None:
    history = fit(model, data, Wraps(exporter(memory, histogram_buckets=[0.0])), epochs=3)
    assert runs(memory) == [Shown("finished", 3, 3)]
    assert memory.value("gangplank_train_loss") == history["loss"][-1]
    assert memory.value("gangplank_train_model_weights_count") == sum(
        int(np.prod(one.shape)) for one in model.trainable_variables
    )
    assert not caplog.records


# Other calls with the same exporter


@pytest.mark.parametrize("other", ["the same model", "another model"])
@pytest.mark.parametrize("call", ["evaluate", "predict"])
@pytest.mark.parametrize("when", ["before", "inside"])
def test_other_calls_of_the_exporter_leave_the_fit_as_it_is(
    memory: MemorySink, model: keras.Model, data: Data, other: str, call: str, when: str
) -> None:
    if call == "evaluate" and when == "inside" and other == "the same model" and keras.config.backend() == "jax":
        pytest.skip("Keras itself takes another state for the fit's on JAX, in some versions")
    callback = exporter(memory, histogram_buckets=[0.0], update_freq="batch")
    called = model if other == "the same model" else a_model(30)

    def calls() -> None:
        x, y = data[0][:10], data[1][:10]
        if call == "evaluate":
            called.evaluate(x, y, callbacks=[callback], verbose=0)
        else:
            called.predict(x, callbacks=[callback], verbose=0)

    if when == "before":
        calls()
        fit(model, data, callback, epochs=3, batch_size=50)
    else:
        fit(model, data, Calls(calls), callback, epochs=3, batch_size=50)
    assert runs(memory) == [Shown("finished", 3, 3)]
    last = [page for page in memory.pages if page.phase == "train"][-1]
    sizes = [int(np.prod(one.shape)) for one in model.trainable_variables]
    assert last.newest.parameters is not None
    assert last.newest.parameters[0] == sum(sizes)
    assert last.newest.weights is not None
    assert last.newest.weights[""].total == sum(sizes)
    assert last.newest.step == 6
    assert last.newest.learning_rates == {"": pytest.approx(0.001)}
    assert last.newest.step_times is not None
    assert sum(last.newest.step_times.counts) == 6


def test_a_fit_inside_a_fit_keeps_to_itself(memory: MemorySink, model: keras.Model, data: Data) -> None:
    callback = exporter(memory, update_freq="batch")
    inner = a_model()
    during: list[Shown] = []

    def fits() -> None:
        fit(inner, data, callback, epochs=7, batch_size=100)
        during.extend(runs(memory))

    fit(model, data, Calls(fits), callback, epochs=4, batch_size=50)
    assert during[1] == Shown("finished", 7, 7)
    assert during[0].state == "running"
    assert runs(memory) == [Shown("finished", 4, 4), Shown("finished", 7, 7)]
    assert memory.pages[-1].newest.epoch == 4, "the outer one ends last, and is shown last"
    steps = {
        page.newest.epochs_planned: (page.newest.step, sum(page.newest.step_times.counts))
        for page in memory.pages
        if page.state == "finished" and page.newest.step_times is not None
    }
    assert steps == {4: (8, 8), 7: (7, 7)}


def test_an_inner_fit_that_fails_ends_no_outer_one(memory: MemorySink, model: keras.Model, data: Data) -> None:
    callback = exporter(memory)
    inner = a_model()

    def fails_inside() -> None:
        caught(inner, data, callback)
        eventually(lambda: Shown("failed", 2, 5) in runs(memory))  # before the outer one has its next word

    fit(model, data, Calls(fails_inside), callback, epochs=4)
    assert runs(memory) == [Shown("finished", 4, 4), Shown("failed", 2, 5)]


def test_two_threads_may_fit_with_one_exporter(memory: MemorySink, data: Data) -> None:
    callback = exporter(memory, update_freq="batch")
    both, first_has_ended = threading.Barrier(2), threading.Event()
    models = [a_model(), a_model(8)]

    def fits(model: keras.Model, epochs: int) -> None:
        # The longer one goes on when the other has ended: otherwise either might replace the last page of the other.
        waits = Calls(lambda: first_has_ended.wait(60), epoch=3)
        fit(model, data, Calls(lambda: both.wait(60)), waits, callback, epochs=epochs, batch_size=50)
        first_has_ended.set()

    threads = [threading.Thread(target=fits, args=(model, 3 + place)) for place, model in enumerate(models)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(runs(memory)) == [Shown("finished", 3, 3), Shown("finished", 4, 4)]


def test_a_fit_keeps_nothing_alive_and_leaves_nothing_behind(
    memory: MemorySink, model: keras.Model, data: Data
) -> None:
    callback = exporter(memory, update_freq="batch")
    for _ in range(3):
        caught(model, data, callback)
        fit(model, data, callback, epochs=1)
        model.evaluate(*data, callbacks=[callback], verbose=0)
    assert not callback.calls
    gone = weakref.ref(callback)
    del callback
    gc.collect()
    assert gone() is None or keras.config.backend() == "jax"  # where Keras keeps the callbacks of the last fit


# How a process ends

SCRIPT = """
import sys, threading, keras, numpy as np, gangplank

class Stops(keras.callbacks.Callback):
    def __init__(self, error): super().__init__(); self.error = error
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1: raise self.error

model = keras.Sequential([keras.layers.Dense(1)])
model.compile("sgd", "mse", run_eagerly=True)
x, y = np.ones((8, 2)), np.ones((8, 1))
exporter = gangplank.TrainTestExporter({address!r}, "digits")
def fit(error):
    model.fit(x, y, epochs=3, verbose=0, callbacks=[exporter, Stops(error)])
"""
ENDS = {
    "caught": (
        """
        try: fit(ValueError)
        except ValueError: pass
        """,
        "failed",
    ),
    "caught in a thread": (
        """
        def work():
            try: fit(ValueError)
            except ValueError: pass
        thread = threading.Thread(target=work); thread.start(); thread.join()
        """,
        "failed",
    ),
    "uncaught in a thread": (
        """
        threading.excepthook = lambda _: None
        thread = threading.Thread(target=fit, args=(ValueError,)); thread.start(); thread.join()
        """,
        "failed",
    ),
    "caught and kept": (
        """
        try: fit(ValueError)
        except ValueError as error: kept = error
        """,
        "failed",
    ),
    "sys.exit while Ctrl-C is handled": (
        """
        try: fit(KeyboardInterrupt)
        except KeyboardInterrupt: sys.exit()
        """,
        "interrupted",
    ),
    "the same in a function": (
        """
        def main():
            try: fit(KeyboardInterrupt)
            except KeyboardInterrupt:
                print("saving")
                sys.exit(0)
        main()
        """,
        "interrupted",
    ),
    "an evaluation while Ctrl-C is handled": (
        """
        try: fit(KeyboardInterrupt)
        except KeyboardInterrupt: model.evaluate(x, y, verbose=0, callbacks=[exporter])
        """,
        "interrupted",
    ),
    "Ctrl-C uncaught": ("fit(KeyboardInterrupt)", "interrupted"),
    "sys.exit in the fit": ("fit(SystemExit)", "interrupted"),
    "after Ctrl-C was handled, nobody can tell": (
        """
        try: fit(KeyboardInterrupt)
        except KeyboardInterrupt: pass
        """,
        "failed",
    ),
}


@pytest.mark.parametrize("how", ENDS)
def test_however_the_process_ends_the_gateway_learns_of_it(gateway: Server, how: str) -> None:
    code, state = ENDS[how]
    script = SCRIPT.format(address=gateway.address) + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert value(gateway, "gangplank_run_state", phase="train", state=state) == 1, done.stderr
    assert value(gateway, "gangplank_run_epoch", phase="train") == 2
