"""How many steps a fit plans, and the step that it resumes from."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from support.lightning_model import PL, WARNINGS, Saves, data, module, trainer, trusted
from support.lightning_pages import Pages, exporter

pytestmark = WARNINGS


class Endless(torch.utils.data.IterableDataset):  # type: ignore[misc, type-arg, unused-ignore]
    """Data without a length."""

    def __iter__(self) -> Any:
        return iter(torch.ones(40, 4))


@pytest.mark.parametrize(
    ("options", "loader", "planned"),
    [
        ({"max_epochs": 3}, data(), 15),
        ({"max_epochs": 3, "max_steps": 7}, data(), 7),
        ({"max_epochs": 1, "max_steps": 7}, data(), 5),
        ({"max_epochs": -1, "max_steps": 7}, data(), 7),
        ({"max_epochs": 2, "limit_train_batches": 3}, data(), 6),
        ({"max_epochs": 2, "accumulate_grad_batches": 2}, data(), 6),
        ({"max_epochs": 2}, torch.utils.data.DataLoader(Endless(), batch_size=8), None),
        ({"max_epochs": 2, "max_steps": 7}, torch.utils.data.DataLoader(Endless(), batch_size=8), 7),
    ],
)
def test_the_planned_steps_are_those_that_the_fit_will_make(
    pages: Pages, options: dict[str, Any], loader: Any, planned: int | None
) -> None:
    fitter = trainer(exporter(pages), **options)
    fitter.fit(module(), loader)
    assert pages.value("gangplank_run_steps_planned") == planned
    assert fitter.global_step == planned or planned is None
    assert pages.value("gangplank_run_resumed_from_step") == 0


def test_an_accumulation_that_changes_by_epoch_leaves_the_plan_unknown(pages: Pages) -> None:
    accumulates = PL.callbacks.GradientAccumulationScheduler({0: 1, 1: 2})
    trainer(exporter(pages), accumulates).fit(module(), data())
    assert pages.value("gangplank_run_steps_planned") is None


def test_a_loop_that_steps_by_hand_has_a_plan_of_max_steps_only(pages: Pages) -> None:
    def training_step(self: Any, batch: Any, *_: Any) -> None:
        for _twice in range(2):
            self.manual_backward(self.layer(batch).pow(2).mean())
            self.optimizers().step()

    for limit, planned in (({}, None), ({"max_steps": 6}, 6)):
        model = module(training_step=training_step)
        model.automatic_optimization = False
        trainer(exporter(pages), **limit).fit(model, data())
        assert pages.value("gangplank_run_steps_planned") == planned


@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended")
@pytest.mark.parametrize("saved_at", [5, 7])
def test_a_resumed_fit_shows_the_step_it_goes_on_from(pages: Pages, tmp_path: Path, saved_at: int) -> None:
    trainer(Saves(tmp_path, saved_at)).fit(module(), data())
    fitter = trainer(exporter(pages), max_epochs=4)
    fitter.fit(module(), data(), ckpt_path=tmp_path / "own.ckpt", **trusted(fitter))
    assert pages.value("gangplank_run_resumed_from_step") == saved_at
    assert pages.value("gangplank_run_steps_planned") == 20
    assert fitter.global_step in (20, 21)  # Lightning 2.4 repeats the step in which a hook has saved


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks used to create the checkpoint")
def test_the_epochs_before_a_resume_may_have_had_other_steps(pages: Pages, tmp_path: Path) -> None:
    saves = PL.callbacks.ModelCheckpoint(tmp_path, filename="first")
    trainer(saves, enable_checkpointing=True, max_epochs=1).fit(module(), data())
    fitter = trainer(exporter(pages), max_epochs=4)
    fitter.fit(module(), data(batch=4), ckpt_path=tmp_path / "first.ckpt", **trusted(fitter))
    assert pages.value("gangplank_run_resumed_from_step") == 5
    assert pages.value("gangplank_run_steps_planned") == fitter.global_step == 35


def slow(self: Any, batch: Any, *_: Any) -> Any:
    """Take a training step of a twentieth of a second."""
    time.sleep(0.05)
    return self.layer(batch).pow(2).mean()


def test_the_time_that_is_left_follows_from_what_is_shown(pages: Pages) -> None:
    trainer(exporter(pages, push_interval=0.000001), max_epochs=4).fit(module(training_step=slow), data())
    half = next(page for page in pages.pages if page.newest.step == 10)
    whole = pages.last
    steps, from_step = half.newest.step, half.newest.resumed_from_step
    assert steps is not None
    assert from_step is not None
    left = (whole.newest.steps_planned or 0) - steps
    estimate = left * (half.last_update - half.started) / (steps - from_step)
    assert estimate == pytest.approx(whole.last_update - half.last_update, rel=0.8)
