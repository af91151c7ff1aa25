"""How many steps a fit plans, the step that it resumes from, and its checkpoints."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest

from gangplank import TrainTestExporter
from gangplank.testing import MemorySink
from support.keras_fits import Data, compiled, fit
from support.reading import eventually


@pytest.fixture
def memory() -> MemorySink:
    return MemorySink()


def exporter(memory: MemorySink, **options: Any) -> TrainTestExporter:
    return TrainTestExporter(
        "memory", "digits", sink=memory, ignore_exceptions=False, push_interval=0.000001, **options
    )


def plan(memory: MemorySink) -> tuple[float | None, float | None]:
    """Return the planned steps, and those before the fit."""
    return memory.value("gangplank_run_steps_planned"), memory.value("gangplank_run_resumed_from_step")


@pytest.mark.parametrize("update_freq", ["epoch", "batch"])
def test_the_planned_steps_are_those_that_the_fit_will_make(
    memory: MemorySink, model: keras.Model, data: Data, update_freq: str
) -> None:
    fit(model, data, exporter(memory, update_freq=update_freq), epochs=3)
    assert plan(memory) == (12, 0)
    assert memory.value("gangplank_run_step") == 12


def test_another_fit_of_a_model_goes_on_from_its_step(memory: MemorySink, model: keras.Model, data: Data) -> None:
    callback = exporter(memory)
    fit(model, data, callback, epochs=1)
    fit(model, data, callback, epochs=3, initial_epoch=1)
    assert plan(memory) == (12, 4)
    assert memory.value("gangplank_run_step") == 12


def test_batches_that_accumulate_gradients_make_fewer_steps(memory: MemorySink, model: keras.Model, data: Data) -> None:
    fit(compiled(model, keras.optimizers.SGD(gradient_accumulation_steps=2)), data, exporter(memory), epochs=3)
    assert plan(memory) == (6, 0)
    assert memory.value("gangplank_run_step") == 6


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_data_of_unknown_length_leaves_the_plan_unknown(memory: MemorySink, model: keras.Model, data: Data) -> None:
    def batches() -> Iterator[Data]:
        yield from [data] * 3

    model.fit(batches(), shuffle=False, callbacks=[exporter(memory)], verbose=0)
    assert plan(memory) == (None, 0)


class Crash(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends the third epoch with an exception."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 2:
            raise KeyError


def test_a_fit_that_is_restored_shows_the_step_it_goes_on_from(
    memory: MemorySink, model: keras.Model, data: Data, tmp_path: Path
) -> None:
    callback, backup = exporter(memory), keras.callbacks.BackupAndRestore(tmp_path)
    with callback, pytest.raises(KeyError):
        fit(model, data, backup, callback, Crash(), epochs=4)
    assert eventually(lambda: memory.value("gangplank_run_checkpoint_step") == 8)  # nothing waits for a lost run
    fit(model, data, keras.callbacks.BackupAndRestore(tmp_path), callback, epochs=4)
    assert plan(memory) == (16, 8)
    assert memory.value("gangplank_run_step") == 16
    assert memory.value("gangplank_run_checkpoint_step") == 16


def test_the_time_that_is_left_follows_from_what_is_shown(memory: MemorySink, model: keras.Model, data: Data) -> None:
    fit(
        model, data, exporter(memory), keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: time.sleep(0.3)), epochs=4
    )
    half = next(page for page in memory.pages if page.newest.step == 8)
    whole = memory.pages[-1]
    left = (whole.newest.steps_planned or 0) - 8
    estimate = left * (half.last_update - half.started) / 8
    assert estimate == pytest.approx(whole.last_update - half.last_update, rel=0.8)


def checkpoints(memory: MemorySink) -> list[float | None]:
    """Return the steps of the checkpoints, in their order."""
    saved = (page.newest.checkpoint for page in memory.pages if page.newest.checkpoint is not None)
    return list(dict.fromkeys(step for _, step in saved))


SAVED: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [4, 8, 12, 16]),
    ({"save_weights_only": True}, [4, 8, 12, 16]),
    ({"save_best_only": True, "monitor": "score"}, [4, 12]),
    ({"save_best_only": True, "monitor": "score", "initial_value_threshold": 2.5}, [12]),
]


# It would crash beside torch.
SAVES = pytest.mark.skipif(
    keras.config.backend() == "torch" and importlib.util.find_spec("tensorflow") is not None,
    reason="Keras imports TensorFlow, if it is installed, to save a model",
)


@SAVES
@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize(("options", "steps"), SAVED)
def test_the_step_of_each_checkpoint_is_shown(
    model: keras.Model, data: Data, tmp_path: Path, options: dict[str, Any], steps: list[int], behind: bool
) -> None:
    memory = MemorySink()
    name = "{epoch}.weights.h5" if "save_weights_only" in options else "{epoch}.keras"
    saves = keras.callbacks.ModelCheckpoint(tmp_path / name, mode="min", **options)
    scores = iter([3.0, 4.0, 2.0, 2.0])
    score = keras.callbacks.LambdaCallback(on_epoch_end=lambda _, logs: logs.update(score=next(scores)))
    callbacks = [score, exporter(memory), saves] if behind else [score, saves, exporter(memory)]
    began = time.time()
    fit(model, data, *callbacks, epochs=4)
    assert checkpoints(memory) == steps
    assert len(list(tmp_path.iterdir())) == len(steps)
    assert memory.value("gangplank_run_checkpoint_step") == steps[-1]
    assert began < (memory.value("gangplank_run_checkpoint_timestamp_seconds") or 0) < time.time()


@SAVES
@pytest.mark.filterwarnings("ignore:Can save best model only with")
def test_without_a_number_to_compare_it_is_not_known_what_is_saved(
    memory: MemorySink, model: keras.Model, data: Data, tmp_path: Path
) -> None:
    saves = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras", save_best_only=True)
    fit(model, data, saves, exporter(memory), epochs=2)
    assert checkpoints(memory) == []


class Saver(keras.callbacks.ModelCheckpoint):  # type: ignore[misc]
    """One of the user's, which may not save when Keras' own does."""


@SAVES
@pytest.mark.parametrize(("kind", "options"), [(Saver, {}), (keras.callbacks.ModelCheckpoint, {"save_freq": 3})])
def test_what_is_saved_otherwise_is_not_known(
    memory: MemorySink, model: keras.Model, data: Data, tmp_path: Path, kind: Any, options: dict[str, int]
) -> None:
    fit(model, data, kind(tmp_path / "a.keras", **options), exporter(memory), epochs=2)
    assert checkpoints(memory) == []
