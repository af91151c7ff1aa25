"""Which checkpoints a fit has saved."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from support.lightning_model import PL, WARNINGS, Saves, data, each_package, module, saved_steps, trainer
from support.lightning_pages import Pages, exporter

pytestmark = [*WARNINGS, pytest.mark.filterwarnings("ignore:.*Checkpoint directory .* exists and is not empty")]


def checkpoints(pages: Pages) -> list[float]:
    """Return the steps of the checkpoints, in their order."""
    saved = (page.newest.checkpoint for page in pages.pages if page.newest.checkpoint is not None)
    return list(dict.fromkeys(step for _, step in saved if step is not None))


@each_package()
@pytest.mark.parametrize(("weights_only", "validated"), [(False, True), (True, False)])
@pytest.mark.parametrize("when", [{"every_n_train_steps": 4}, {"every_n_epochs": 1}])
def test_the_step_of_each_checkpoint_is_shown(
    pages: Pages, tmp_path: Path, pl: Any, when: dict[str, int], validated: bool, weights_only: bool
) -> None:
    saves = pl.callbacks.ModelCheckpoint(tmp_path, save_weights_only=weights_only, save_last=True, **when)
    fitter = trainer(exporter(pages, push_interval=0.000001), saves, pl=pl, enable_checkpointing=True)
    steps = saved_steps(fitter)
    began = time.time()
    fitter.fit(module(pl), data(), *[data()] * validated)
    assert set(steps) >= ({4, 8} if "every_n_train_steps" in when else {5, 10})
    assert checkpoints(pages) == steps
    assert began < (pages.value("gangplank_run_checkpoint_timestamp_seconds") or 0) < time.time()
    assert pages.value("gangplank_run_checkpoint_step") == steps[-1]


def test_a_checkpoint_that_the_user_saves_counts(pages: Pages, tmp_path: Path) -> None:
    trainer(exporter(pages, push_interval=0.000001), Saves(tmp_path, 2, 7)).fit(module(), data())
    assert checkpoints(pages) == [2, 7]


def test_what_is_saved_at_the_very_end_is_on_the_last_page(pages: Pages, tmp_path: Path) -> None:
    saves = PL.callbacks.ModelCheckpoint(tmp_path, every_n_epochs=5, save_last=True)
    fitter = trainer(exporter(pages), saves, enable_checkpointing=True)
    steps = saved_steps(fitter)
    fitter.fit(module(), data())
    assert (tmp_path / "last.ckpt").exists()
    assert pages.last.state == "finished"
    assert checkpoints(pages)[-1] == steps[-1] == 10


class Full(PL.plugins.TorchCheckpointIO):  # type: ignore[misc, name-defined]
    """Cannot write."""

    def save_checkpoint(self, *_: Any, **__: Any) -> None:
        raise OSError("no space left")


def test_a_checkpoint_that_could_not_be_written_does_not_count(pages: Pages, tmp_path: Path) -> None:
    fitter = trainer(exporter(pages), Saves(tmp_path, 7), plugins=[Full()])
    with pytest.raises(OSError, match="no space left"):
        fitter.fit(module(), data())
    assert pages.last.state == "failed"
    assert checkpoints(pages) == []


def test_without_checkpoints_none_is_shown(pages: Pages) -> None:
    trainer(exporter(pages)).fit(module(), data())
    assert pages.value("gangplank_run_checkpoint_step") is None
    assert pages.value("gangplank_run_checkpoint_timestamp_seconds") is None
