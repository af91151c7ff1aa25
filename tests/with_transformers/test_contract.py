"""Transformers' adapter passes what every adapter must pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from transformers import TrainerCallback, TrainingArguments

from gangplank.testing import AdapterContract
from support.tiny_trainers import WARNINGS, Points, tiny_trainer

pytestmark = WARNINGS


class EachEpoch(TrainerCallback):  # type: ignore[misc]
    """Calls at the end of each epoch."""

    def __init__(self, call: Callable[[int], None]) -> None:
        self.call = call

    def on_epoch_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self.call(round(state.epoch) - 1)


class TestTransformers(AdapterContract):
    """A linear layer, and its newest loss."""

    adapter = "transformers"

    def train(self, exporter: Any, epochs: int, each_epoch: Callable[[int], None]) -> Mapping[str, float]:
        trainer = tiny_trainer(exporter, EachEpoch(each_epoch), num_train_epochs=epochs, logging_steps=1)
        with exporter:
            trainer.train()
        return {"loss": trainer.state.log_history[-2]["loss"]}

    def train_nothing(self, exporter: Any) -> None:
        done = tiny_trainer(save_strategy="epoch")
        done.train()
        tiny_trainer(exporter, output_dir=done.args.output_dir).train(resume_from_checkpoint=True)

    def train_steps(self, exporter: Any, steps: int) -> Mapping[str, float]:
        trainer = tiny_trainer(exporter, max_steps=steps, train=Points(4 * steps), logging_steps=1)
        trainer.train()
        return {"loss": trainer.state.log_history[-2]["loss"]}

    def evaluate(self, exporter: Any) -> Mapping[str, float]:
        return {"loss": tiny_trainer(exporter).evaluate()["eval_loss"]}

    def become_rank(self, rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(TrainingArguments, "process_index", rank)
        monkeypatch.setattr(TrainingArguments, "world_size", 2)
