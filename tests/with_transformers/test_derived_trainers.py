"""Trainers that are derived from Transformers' own: the exporter is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
)

from gangplank.testing import MemorySink
from gangplank.transformers import TrainTestExporter
from support.tiny_trainers import WARNINGS, Points, tiny_trainer

pytestmark = WARNINGS

WORDS = ("a", "b", "c", "d")


def tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of a few words."""
    vocabulary = {word: number for number, word in enumerate(("<pad>", "<s>", "</s>", "<unk>", *WORDS))}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))  # noqa: S106  no password
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=words, **special)


def arguments(folder: Path) -> dict[str, Any]:
    """Return the arguments that all these trainings have."""
    return {"output_dir": str(folder), "num_train_epochs": 2, "logging_steps": 1, "per_device_train_batch_size": 4,
            "report_to": [], "disable_tqdm": True, "use_cpu": True, "save_strategy": "no"}  # fmt: skip


def test_a_sequence_to_sequence_trainer(memory: MemorySink, exporter: TrainTestExporter, tmp_path: Path) -> None:
    shape = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = BartConfig(
        vocab_size=16, d_model=8, encoder_ffn_dim=8, decoder_ffn_dim=8, max_position_embeddings=16, **shape
    )
    words = torch.arange(4, 12).reshape(1, 8).repeat(8, 1)
    data = [{"input_ids": line, "labels": line} for line in words]
    trainer = Seq2SeqTrainer(
        BartForConditionalGeneration(config),
        Seq2SeqTrainingArguments(predict_with_generate=True, **arguments(tmp_path)),
        train_dataset=data,
        eval_dataset=data,
        callbacks=[exporter],
    )
    trainer.train()
    assert memory.value("gangplank_train_loss") == trainer.state.log_history[-2]["loss"]
    found = trainer.evaluate(max_length=4)
    assert memory.value("gangplank_validate_loss") == found["eval_loss"]
    trainer.predict(data, max_length=4)
    assert memory.pages[-1].phase == "predict"
    assert memory.value("gangplank_run_state", state="finished") == 1


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_trls_trainer_for_fine_tuning(memory: MemorySink, exporter: TrainTestExporter, tmp_path: Path) -> None:
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_dict({"text": ["a b c d a b", "b c d a b c"] * 4})
    model = GPT2LMHeadModel(GPT2Config(vocab_size=8, n_positions=16, n_embd=8, n_layer=1, n_head=2))
    trainer = trl.SFTTrainer(
        model=model,
        args=trl.SFTConfig(eval_strategy="epoch", max_length=8, bf16=False, **arguments(tmp_path)),
        train_dataset=data,
        eval_dataset=data,
        processing_class=tokenizer(),
        callbacks=[exporter],
    )
    trainer.train()
    newest = [entry for entry in trainer.state.log_history if "loss" in entry][-1]
    assert memory.value("gangplank_train_loss") == newest["loss"]
    assert memory.value("gangplank_train_mean_token_accuracy") == newest["mean_token_accuracy"]
    assert memory.value("gangplank_run_steps_planned") == memory.value("gangplank_run_step") == 4
    found = trainer.evaluate()
    assert memory.value("gangplank_validate_loss") == found["eval_loss"]


def test_a_trainer_with_an_evaluation_of_its_own(memory: MemorySink, exporter: TrainTestExporter) -> None:
    class Own(Trainer):  # type: ignore[misc]
        def evaluate(self, eval_dataset: Any = None, metric_key_prefix: str = "eval", **_: Any) -> dict[str, float]:
            metrics = {f"{metric_key_prefix}_exact_match": 0.5}
            self.log(metrics)
            self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
            return metrics

    trainer = tiny_trainer(exporter, kind=Own, eval_strategy="epoch", held_out=Points(4))
    trainer.train()
    assert memory.value("gangplank_train_eval_exact_match") == 0.5
    trainer.evaluate()
    trainer.evaluate()
    assert memory.value("gangplank_validate_exact_match") == 0.5
    assert [page.state for page in memory.pages if page.phase == "validate"].count("finished") == 2
