"""The ways in which people really train with Transformers: they catch, repeat, nest, thread and search."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import threading
import weakref
from typing import Any

import pytest
from transformers import Trainer

from gangplank.core.delivery import outbox
from gangplank.testing import MemorySink
from gangplank.transformers import TrainTestExporter
from support.ended import Shown, runs
from support.reading import eventually
from support.tiny_trainers import WARNINGS, Calls, Crash, Net, Points, crash, crashes, tiny_trainer

pytestmark = WARNINGS


@pytest.fixture
def exporter(memory: MemorySink) -> TrainTestExporter:
    return TrainTestExporter("memory", "digits", sink=memory, flush_timeout=10)


def states(memory: MemorySink, phase: str = "train") -> list[str]:
    return [shown.state for shown in runs(memory, phase)]


@pytest.mark.parametrize("again", ["the same trainer", "another trainer"])
def test_a_training_that_is_caught_and_begun_again_are_two_runs(
    memory: MemorySink, exporter: TrainTestExporter, again: str
) -> None:
    left = [1]

    def once() -> None:
        if left:
            left.pop()
            crash()

    first = tiny_trainer(Calls("on_step_end", once, step=12), exporter)
    with crashes():
        first.train()
    eventually(lambda: states(memory) == ["failed"])
    trainer = first if again == "the same trainer" else tiny_trainer(exporter)
    trainer.train()
    assert runs(memory) == [Shown("failed", 1, 2), Shown("finished", 2, 2)]


@pytest.mark.parametrize("kept", [True, False])
def test_an_evaluation_after_an_exception_that_was_caught_is_one_of_its_own(
    memory: MemorySink, exporter: TrainTestExporter, kept: bool
) -> None:
    trainer = tiny_trainer(Calls("on_step_end", crash, step=5), exporter)
    with pytest.raises(Crash) as caught:
        trainer.train()
    if not kept:
        del caught
        gc.collect()
    found = trainer.evaluate()
    eventually(lambda: states(memory) == ["failed"])
    assert states(memory, "validate") == ["finished"]
    assert memory.value("gangplank_validate_loss") == found["eval_loss"]


def test_an_exception_that_is_kept_shows_at_the_next_heartbeat(
    memory: MemorySink, exporter: TrainTestExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "HEARTBEAT", 0.1)
    with pytest.raises(Crash) as caught:
        tiny_trainer(Calls("on_step_end", crash, step=5), exporter).train()
    eventually(lambda: states(memory) == ["failed"])
    del caught


def test_an_evaluation_of_several_sets_that_is_broken_off_and_begun_again(
    memory: MemorySink, exporter: TrainTestExporter
) -> None:
    left = [1]

    class Once(Points):
        """Fails once."""

        def __getitem__(self, index: int) -> Any:
            if left:
                left.pop()
                crash()
            return super().__getitem__(index)

    trainer = tiny_trainer(exporter, held_out={"a": Points(8), "b": Once(8)})
    with pytest.raises(Crash) as caught:
        trainer.evaluate()
    found = trainer.evaluate()
    assert states(memory, "validate") == ["failed", "finished"]
    assert memory.value("gangplank_validate_a_loss") == found["eval_a_loss"]
    assert memory.value("gangplank_validate_b_loss") == found["eval_b_loss"]
    del caught


def test_an_evaluation_after_one_that_was_broken_off_is_another_one(
    memory: MemorySink, exporter: TrainTestExporter
) -> None:
    calls: list[int] = []

    def metric(_: Any) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 1:
            crash()
        return {"accuracy": 1.0}

    trainer = tiny_trainer(exporter, more={"compute_metrics": metric})
    for prefix in ("eval", "test", "eval"):
        with crashes():
            trainer.evaluate(metric_key_prefix=prefix)
    assert states(memory, "validate") == ["failed", "finished"]
    assert states(memory, "test") == ["finished"]
    assert memory.value("gangplank_validate_accuracy") == 1


def test_a_derived_trainer_may_evaluate_around_its_training(memory: MemorySink, exporter: TrainTestExporter) -> None:
    class Own(Trainer):  # type: ignore[misc]
        def train(self, *arguments: Any, **more: Any) -> Any:
            self.evaluate()
            found = super().train(*arguments, **more)
            self.predict(Points(4))
            return found

    tiny_trainer(exporter, kind=Own).train()
    assert [states(memory, phase) for phase in ("validate", "train", "predict")] == [["finished"]] * 3


@pytest.mark.parametrize("prefixes", [("eval_a", "eval_b"), ("eval", "eval_more")])
def test_a_derived_trainer_may_evaluate_several_sets_by_itself(
    memory: MemorySink, exporter: TrainTestExporter, prefixes: tuple[str, str]
) -> None:
    class Own(Trainer):  # type: ignore[misc]
        def evaluate(self, *arguments: Any, **more: Any) -> dict[str, float]:
            first = super().evaluate(Points(8), metric_key_prefix=prefixes[0])
            return {**first, **super().evaluate(Points(12), metric_key_prefix=prefixes[1])}

    found = tiny_trainer(exporter, kind=Own).evaluate()
    for prefix in prefixes:
        name = f"{prefix}_loss".removeprefix("eval_")
        assert memory.value(f"gangplank_validate_{name}") == found[f"{prefix}_loss"]


def test_an_exporter_that_is_added_in_the_middle_exports_from_there(
    memory: MemorySink, exporter: TrainTestExporter
) -> None:
    trainer = tiny_trainer()
    trainer.add_callback(Calls("on_step_end", lambda: trainer.add_callback(exporter), step=5))
    trainer.train()
    assert runs(memory) == [Shown("finished", 2, 2)]
    assert memory.value("gangplank_run_step") == memory.value("gangplank_run_steps_planned") == 20


def test_a_model_that_cannot_be_read_costs_only_what_is_read_of_it(
    memory: MemorySink, exporter: TrainTestExporter
) -> None:
    class Odd(Net):
        def parameters(self, *arguments: Any) -> Any:
            if "gangplank" in sys._getframe(1).f_globals["__name__"]:  # noqa: SLF001  only for us
                crash()
            return super().parameters(*arguments)

    trainer = tiny_trainer(exporter, model=Odd())
    trainer.train()
    trainer.evaluate()
    assert (states(memory), states(memory, "validate")) == (["finished"], ["finished"])


def test_ctrl_c_in_a_with_block_is_interrupted(memory: MemorySink, exporter: TrainTestExporter) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), exporter:
        tiny_trainer(Calls("on_step_end", interrupt, step=5), exporter).train()
    assert states(memory) == ["interrupted"]


def test_a_training_inside_another_keeps_to_itself(memory: MemorySink, exporter: TrainTestExporter) -> None:
    inner = tiny_trainer(exporter, num_train_epochs=3)
    outer = tiny_trainer(Calls("on_step_end", inner.train, step=5), exporter)
    outer.train()
    assert runs(memory) == [Shown("finished", 2, 2), Shown("finished", 3, 3)]
    assert memory.pages[-1].newest.steps_planned == 20, "the outer one ends last, and is shown last"
    assert memory.value("gangplank_run_step_duration_seconds_count") == 20


def test_an_evaluation_of_another_trainer_inside_a_training_is_one_of_its_own(
    memory: MemorySink, exporter: TrainTestExporter
) -> None:
    other = tiny_trainer(exporter, held_out=Points(16))
    found: list[Any] = []
    tiny_trainer(Calls("on_epoch_end", lambda: found.append(other.evaluate())), exporter).train()
    assert states(memory) == ["finished"]
    assert states(memory, "validate") == ["finished", "finished"]
    assert "eval_loss" not in memory.pages[-1].metrics
    evaluated = [page for page in memory.pages if page.phase == "validate"]
    assert evaluated[-1].metrics["loss"].value == found[-1]["eval_loss"]


def test_two_threads_keep_to_themselves(memory: MemorySink, exporter: TrainTestExporter) -> None:
    threads = [
        threading.Thread(target=tiny_trainer(exporter, num_train_epochs=epochs).train, args=()) for epochs in (2, 3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: sorted(shown.planned or 0 for shown in runs(memory)) == [2, 3])
    last = memory.pages[-1].newest
    assert last.step == last.steps_planned


def test_a_trainer_is_freed_when_its_user_drops_it(exporter: TrainTestExporter) -> None:
    trainer = tiny_trainer(exporter)
    trainer.train()
    trainer.evaluate()
    freed = weakref.ref(trainer)
    del trainer
    gc.collect()
    assert freed() is None


def test_a_search_is_a_run_for_each_trial_and_a_pruned_one_is_interrupted(
    memory: MemorySink, exporter: TrainTestExporter
) -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.disable_default_handler()

    class PruneTheSecond(optuna.pruners.BasePruner):  # type: ignore[misc, name-defined]
        """Prunes."""

        def prune(self, study: Any, trial: Any) -> bool:
            return bool(trial.number == 1)

    trainer = tiny_trainer(exporter, eval_strategy="epoch", more={"model_init": lambda: Net(seconds=0.0)}, model=False)
    trainer.hyperparameter_search(
        hp_space=lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-3)},
        n_trials=3,
        backend="optuna",
        pruner=PruneTheSecond(),
    )
    assert states(memory) == ["finished", "interrupted", "finished"]


def test_copies_train_and_nothing_of_a_training_is_copied(memory: MemorySink, exporter: TrainTestExporter) -> None:
    pickled = TrainTestExporter("127.0.0.1:1", "digits")
    tiny_trainer(exporter).train()
    tiny_trainer(copy.deepcopy(exporter)).train()
    assert states(memory) == ["finished", "finished"]
    assert pickle.loads(pickle.dumps(pickled)).addresses == pickled.addresses
