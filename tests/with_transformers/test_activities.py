"""Where the time of a training went."""

from __future__ import annotations

import time
from typing import Any

import pytest
from transformers import Trainer

from gangplank.core.recording.activities import ACTIVITIES
from gangplank.testing import MemorySink
from gangplank.transformers import TrainTestExporter
from support.tiny_trainers import WARNINGS, Calls, Net, Points, tiny_trainer

pytestmark = WARNINGS


def seconds(memory: MemorySink) -> dict[str, float]:
    found = {name: memory.value("gangplank_run_activity_seconds_total", activity=name) or 0.0 for name in ACTIVITIES}
    assert sum(found.values()) == pytest.approx(memory.value("gangplank_train_elapsed_time_seconds"))
    return found


class SlowToSave(Trainer):  # type: ignore[misc]
    """Takes half a second to save."""

    def _save_checkpoint(self, *arguments: Any) -> None:
        time.sleep(0.5)
        super()._save_checkpoint(*arguments)


def test_each_activity_has_the_time_that_was_spent_in_it(memory: MemorySink, exporter: TrainTestExporter) -> None:
    trainer = tiny_trainer(
        Calls("on_step_begin", lambda: time.sleep(1), step=0),
        exporter,
        Calls("on_train_end", lambda: None),
        kind=SlowToSave,
        model=Net(seconds=0.05),
        train=Points(40, seconds=0.02),
        held_out=Points(8, seconds=0.1),
        eval_strategy="epoch",
        save_strategy="epoch",
    )
    trainer.train()
    found = seconds(memory)
    # Of 20 steps of 0.05 s, with 0.08 s of data each, the first is in the startup, with its data and the next step's.
    assert 1.13 <= found["startup"] <= 1.13 + 1.5
    assert 0.95 <= found["train"] <= 0.95 + 1.5
    assert 1.44 <= found["data_wait"] <= 1.44 + 1.0
    assert 1.6 <= found["validate"] <= 1.6 + 1.0
    assert 1.0 <= found["checkpoint"] <= 1.0 + 1.0
    assert found["other"] <= 1.0


def test_an_evaluation_before_the_first_step_is_startup(memory: MemorySink, exporter: TrainTestExporter) -> None:
    tiny_trainer(
        exporter, eval_on_start=True, eval_strategy="epoch", max_steps=1, held_out=Points(8, seconds=0.1)
    ).train()
    assert seconds(memory)["startup"] >= 0.8


def test_to_save_the_best_is_no_waiting_for_data(memory: MemorySink, exporter: TrainTestExporter) -> None:
    tiny_trainer(
        exporter,
        kind=SlowToSave,
        eval_strategy="steps",
        eval_steps=5,
        save_strategy="best",
        metric_for_best_model="loss",
    ).train()
    found = seconds(memory)
    assert found["data_wait"] < 0.5 <= found["other"] + found["checkpoint"]


def test_a_step_is_timed_without_what_follows_it(memory: MemorySink) -> None:
    exporter = TrainTestExporter("memory", "a", sink=memory, ignore_exceptions=False, per_rank=True)
    tiny_trainer(
        exporter, kind=SlowToSave, model=Net(seconds=0.02), save_strategy="steps", save_steps=5, max_steps=12
    ).train()
    assert memory.value("gangplank_run_step_duration_seconds_count") == 12
    assert 0.24 <= (memory.value("gangplank_run_step_duration_seconds_sum") or 0) <= 1.2
    assert (memory.value("gangplank_run_data_wait_seconds_total") or 0) < 0.5


def test_an_evaluation_inside_a_step_leaves_the_step_a_step(memory: MemorySink, exporter: TrainTestExporter) -> None:
    trainer = tiny_trainer(exporter, model=Net(seconds=0.2), max_steps=4, logging_strategy="no")
    trainer.add_callback(Calls("on_step_begin", trainer.evaluate))
    trainer.train()
    assert seconds(memory)["train"] >= 0.6


def test_a_log_that_is_asked_for_again_at_the_end_of_an_epoch_is_no_training(
    memory: MemorySink, exporter: TrainTestExporter
) -> None:
    tiny_trainer(
        exporter,
        kind=SlowToSave,
        train=Points(4),
        logging_strategy="epoch",
        logging_first_step=True,
        save_strategy="epoch",
    ).train()
    assert seconds(memory)["checkpoint"] >= 1.0
