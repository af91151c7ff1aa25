"""What is exported in each phase, under which names."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from transformers import Trainer

from gangplank import Page
from gangplank.testing import MemorySink
from gangplank.transformers import TrainTestExporter
from support.logged import warnings
from support.tiny_trainers import WARNINGS, Calls, Points, tiny_trainer

pytestmark = WARNINGS

# What a training ends with.
MEANS = {"train_loss": "mean_loss", "train_samples_per_second": "mean_samples_per_second"}
MEANS |= {"train_steps_per_second": "mean_steps_per_second"}


def shown(page: Page) -> dict[str, float]:
    return {name: metric.value for name, metric in page.metrics.items()}


def logged(history: list[dict[str, Any]]) -> dict[str, float]:
    """Return the newest value of everything that was logged, under the names that it is to be exported under."""
    newest: dict[str, float] = {}
    for entry in history:
        newest |= {MEANS.get(name, name).removeprefix("train_"): value for name, value in entry.items()}
    return {name: value for name, value in newest.items() if name not in ("epoch", "step", "learning_rate")}


def test_all_that_is_logged_is_exported_and_the_means_never_as_the_newest_loss(
    memory: MemorySink, exporter: TrainTestExporter
) -> None:
    trainer = tiny_trainer(exporter, eval_strategy="epoch", include_num_input_tokens_seen=True)
    trainer.train()
    page = memory.pages[-1]
    assert shown(page) == logged(trainer.state.log_history)
    assert {"loss", "grad_norm", "eval_loss", "mean_loss", "num_input_tokens_seen"} <= page.metrics.keys()
    assert memory.value("gangplank_train_learning_rate") == trainer.state.log_history[-3]["learning_rate"]
    steps = {entry["loss"]: entry["step"] for entry in trainer.state.log_history if "loss" in entry}
    assert page.metrics["loss"].step == steps[page.metrics["loss"].value] == 18
    assert page.metrics["eval_loss"].step == 20


@pytest.mark.parametrize(
    ("how", "phase"),
    [({}, "validate"), ({"metric_key_prefix": "test"}, "test"), ({"metric_key_prefix": "test_later"}, "test")],
)
def test_an_evaluation_outside_of_a_training_is_a_phase_of_its_own(
    memory: MemorySink, exporter: TrainTestExporter, how: dict[str, Any], phase: str
) -> None:
    found = tiny_trainer(exporter).evaluate(**how)
    prefix = how.get("metric_key_prefix", "eval") + "_"
    assert memory.pages[-1].phase == phase
    expected = {name.removeprefix(prefix): number for name, number in found.items() if name != "epoch"}
    assert expected.items() <= shown(memory.pages[-1]).items()
    assert memory.value(f"gangplank_{phase}_loss") == found[f"{prefix}loss"]
    assert memory.value(f"gangplank_{phase}_model_weights_count") == 5
    assert memory.value("gangplank_run_state", state="finished") == 1


def test_each_of_several_evaluation_sets_is_shown(memory: MemorySink, exporter: TrainTestExporter) -> None:
    sets = {"a": Points(8), "b": Points(12)}
    trainer = tiny_trainer(exporter, held_out=sets, eval_strategy="epoch")
    trainer.train()
    assert {"eval_a_loss", "eval_b_loss"} <= memory.pages[-1].metrics.keys()
    found = trainer.evaluate()
    page = memory.pages[-1]
    assert page.phase == "validate"
    assert {name: page.metrics[name].value for name in ("a_loss", "b_loss")} == {
        "a_loss": found["eval_a_loss"],
        "b_loss": found["eval_b_loss"],
    }
    assert [page.state for page in memory.pages if page.phase == "validate"].count("finished") == 1


def test_a_prediction_is_a_phase_of_its_own_and_reads_no_weights(
    memory: MemorySink, exporter: TrainTestExporter
) -> None:
    found = tiny_trainer(exporter).predict(Points(8))
    assert memory.pages[-1].phase == "predict"
    assert memory.value("gangplank_predict_loss") == found.metrics["test_loss"]
    assert memory.pages[-1].newest.weights is None
    assert memory.value("gangplank_run_state", state="finished") == 1


def test_weights_and_parameters_are_there_at_each_epochs_end(memory: MemorySink, exporter: TrainTestExporter) -> None:
    trainer = tiny_trainer(exporter)
    trainer.train()
    counted = [page.newest.epoch for page in memory.pages if page.newest.weights is not None]
    assert set(counted) == {1, 2}
    assert memory.value("gangplank_train_model_parameters", trainable="true") == 5
    assert memory.value("gangplank_train_model_parameters", trainable="false") == 3
    total = sum(float(one.detach().double().sum()) for one in trainer.model.layer.parameters())
    assert memory.value("gangplank_train_model_weights_sum") == pytest.approx(total)


def test_a_model_that_is_spread_over_processes_is_not_read_which_is_said_once(
    memory: MemorySink, exporter: TrainTestExporter, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = tiny_trainer()
    for spread, callback in ((True, None), (None, exporter), (False, None)):
        trainer.add_callback(
            callback
            or Calls("on_epoch_end", partial(setattr, trainer, "is_fsdp_enabled", spread))  # around the exporter
        )
    trainer.train()
    [after_the_first] = {page.newest.epoch: page.newest for page in memory.pages if page.newest.epoch == 1}.values()
    assert (after_the_first.weights, after_the_first.parameters) == (None, None)
    (line,) = warnings(caplog)
    assert line.startswith("FSDP shards the model over processes")


def test_what_the_user_logs_is_exported(memory: MemorySink, exporter: TrainTestExporter) -> None:
    class Logs(Trainer):  # type: ignore[misc]
        def compute_loss(self, *arguments: Any, **more: Any) -> Any:
            self.log({"mine": 3.0, "train_mine": 4.0})
            return super().compute_loss(*arguments, **more)

    tiny_trainer(exporter, kind=Logs, max_steps=2).train()
    assert memory.value("gangplank_train_mine") == 3
    assert [name for name in memory.pages[-1].metrics if "mine" in name] == ["mine", "train_mine"]


def test_a_callback_in_front_that_takes_a_value_out_of_the_logs_changes_no_other_name(
    memory: MemorySink, exporter: TrainTestExporter
) -> None:
    trainer = tiny_trainer()
    trainer.add_callback(exporter)  # behind the one that prints
    trainer.train()
    assert memory.value("gangplank_train_mean_loss") == trainer.state.log_history[-1]["train_loss"]


@pytest.mark.parametrize("loss", ["0.5", None, [1.0]])
def test_a_loss_that_is_no_number_costs_nothing_else(memory: MemorySink, loss: Any) -> None:
    exporter = TrainTestExporter("memory", "digits", sink=memory, flush_timeout=10)
    trainer = tiny_trainer(exporter, logging_strategy="no")
    trainer.add_callback(Calls("on_step_end", lambda: trainer.log({"loss": loss, "mine": 2.0}), step=5))
    trainer.train()
    assert memory.value("gangplank_train_mine") == 2
    assert memory.value("gangplank_run_dropped_metrics_total", reason="not_numeric") == 1
