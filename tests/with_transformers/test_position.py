"""How far a training is: steps, epochs, checkpoints, and resumes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from transformers import EarlyStoppingCallback

from gangplank.testing import MemorySink
from gangplank.transformers import TrainTestExporter
from support.reading import eventually
from support.tiny_trainers import WARNINGS, Calls, Stream, crash, crashes, tiny_trainer

pytestmark = WARNINGS


def position(memory: MemorySink) -> dict[str, float | None]:
    """Return what is known of the position, on the newest page."""
    names = ("epoch", "epochs_planned", "step", "steps_planned", "resumed_from_step")
    known = {name: memory.value(f"gangplank_run_{name}") for name in names}
    return {name: number for name, number in known.items() if number is not None}


def test_a_training_by_epochs_shows_both(memory: MemorySink, exporter: TrainTestExporter) -> None:
    tiny_trainer(exporter).train()
    first = memory.pages[0].newest
    assert (first.epoch, first.epochs_planned, first.step, first.steps_planned) == (0, 2, 0, 20)
    assert position(memory) == {
        "epoch": 2, "epochs_planned": 2, "step": 20, "steps_planned": 20, "resumed_from_step": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"max_steps": 15}, {"epoch": 1, "step": 15, "steps_planned": 15}),
        ({"num_train_epochs": 1.5}, {"epoch": 1, "step": 15, "steps_planned": 15}),
        ({"gradient_accumulation_steps": 3}, {"epoch": 2, "epochs_planned": 2, "step": 8, "steps_planned": 8}),
        ({"train": Stream(), "max_steps": 15}, {"step": 15, "steps_planned": 15}),
    ],
)
def test_epochs_are_shown_where_they_are_whole_and_real(
    memory: MemorySink, exporter: TrainTestExporter, how: dict[str, Any], expected: dict[str, float]
) -> None:
    tiny_trainer(exporter, **how).train()
    assert position(memory) == {**expected, "resumed_from_step": 0}
    assert memory.value("gangplank_train_loss") is not None


def test_a_training_that_resumes_in_an_epoch_goes_on_where_it_was(
    memory: MemorySink, exporter: TrainTestExporter
) -> None:
    first = tiny_trainer(exporter, Calls("on_step_end", crash, step=14), save_strategy="steps", save_steps=12)
    with crashes():
        first.train()
    eventually(lambda: memory.value("gangplank_run_checkpoint_step") == 12)
    seen = len(memory.pages)
    tiny_trainer(exporter, output_dir=first.args.output_dir).train(resume_from_checkpoint=True)
    resumed = next(page for page in memory.pages[seen:] if page.state == "running" and page.newest.step != 14).newest
    assert (resumed.step, resumed.resumed_from_step, resumed.epoch) == (12, 12, 1)
    assert position(memory) == {
        "epoch": 2, "epochs_planned": 2, "step": 20, "steps_planned": 20, "resumed_from_step": 12,
    }  # fmt: skip


def test_a_resume_with_nothing_left_leaves_everything_as_it_was(
    memory: MemorySink, exporter: TrainTestExporter
) -> None:
    first = tiny_trainer(exporter, save_strategy="epoch")
    first.train()
    before = len(memory.pages)
    tiny_trainer(exporter, output_dir=first.args.output_dir).train(resume_from_checkpoint=True)
    assert len(memory.pages) == before


@pytest.mark.parametrize("left", [0, -3])
def test_a_resume_past_its_end_in_an_epoch_leaves_everything_as_it_was(
    memory: MemorySink, exporter: TrainTestExporter, left: int
) -> None:
    first = tiny_trainer(save_strategy="steps", save_steps=15, max_steps=15)
    first.train()
    tiny_trainer(exporter, output_dir=first.args.output_dir, max_steps=15 + left).train(resume_from_checkpoint=True)
    assert not memory.pages


def test_checkpoints_show_their_step_and_time(memory: MemorySink, exporter: TrainTestExporter) -> None:
    before = time.time()
    trainer = tiny_trainer(exporter, save_strategy="steps", save_steps=8)
    trainer.train()
    assert memory.value("gangplank_run_checkpoint_step") == 20
    saved = sorted(Path(trainer.args.output_dir).glob("checkpoint-*"), key=lambda path: path.stat().st_mtime)
    assert saved[-1].name == "checkpoint-20"
    assert before < (memory.value("gangplank_run_checkpoint_timestamp_seconds") or 0) < time.time()


def test_early_stopping_finishes_and_the_best_model_is_what_is_counted(
    memory: MemorySink, exporter: TrainTestExporter
) -> None:
    trainer = tiny_trainer(
        EarlyStoppingCallback(1),
        exporter,
        num_train_epochs=9,
        learning_rate=5.0,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="steps",
        save_steps=2,
        load_best_model_at_end=True,
    )
    trainer.train()
    assert trainer.state.global_step < 90
    assert memory.value("gangplank_run_state", state="finished") == 1
    assert memory.value("gangplank_run_steps_planned") == 90
    total = sum(float(one.detach().double().sum()) for one in trainer.model.layer.parameters())
    assert memory.value("gangplank_train_model_weights_sum") == pytest.approx(total)


def test_an_evaluation_before_the_first_step_belongs_to_the_training(
    memory: MemorySink, exporter: TrainTestExporter
) -> None:
    tiny_trainer(exporter, eval_on_start=True, eval_strategy="epoch").train()
    assert {page.phase for page in memory.pages} == {"train"}
    assert {page.newest.steps_planned for page in memory.pages} == {20}


def test_a_training_that_begins_again_with_smaller_batches_is_one_run_with_the_new_plan(
    memory: MemorySink, exporter: TrainTestExporter
) -> None:
    left = [1]

    def run_out() -> None:
        if left:
            left.pop()
            raise RuntimeError("CUDA out of memory.")

    tiny_trainer(exporter, Calls("on_step_begin", run_out), auto_find_batch_size=True).train()
    assert len({page.labels["run"] for page in memory.pages}) == 1
    assert memory.pages[0].newest.steps_planned == 20
    assert 20 < (position(memory)["steps_planned"] or 0) == position(memory)["step"]
    assert memory.value("gangplank_run_state", state="finished") == 1


def test_one_that_begins_again_after_a_step_is_another_run(memory: MemorySink, exporter: TrainTestExporter) -> None:
    left = [1]

    def run_out() -> None:
        if left:
            left.pop()
            raise RuntimeError("CUDA out of memory.")

    tiny_trainer(exporter, Calls("on_step_end", run_out, step=3), auto_find_batch_size=True).train()
    ends = [page.state for page in memory.pages if page.state != "running"]
    assert ends == ["failed", "finished"]
    assert 20 < (position(memory)["steps_planned"] or 0) == position(memory)["step"]
