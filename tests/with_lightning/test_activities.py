"""Where the time of a fit goes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from support.lightning_model import PL, WARNINGS, data, module, trainer
from support.lightning_pages import Pages, exporter

pytestmark = [*WARNINGS, pytest.mark.filterwarnings("ignore:.*Checkpoint directory .* exists and is not empty")]
ACTIVITIES = ("startup", "train", "data_wait", "validate", "checkpoint", "other")


def seconds(pages: Pages) -> dict[str, float]:
    """Return the seconds of each activity, which are the whole time."""
    each = {name: pages.value("gangplank_run_activity_seconds_total", activity=name) or 0.0 for name in ACTIVITIES}
    assert sum(each.values()) == pytest.approx(pages.value("gangplank_train_elapsed_time_seconds"), abs=1e-3)
    return each


def asleep(name: str, *, each: float = 0.2) -> dict[str, Any]:
    """Return a method of a module that sleeps, and then does what the module does."""
    original = getattr(type(module()), name)

    def method(self: Any, *arguments: Any) -> Any:
        time.sleep(each)
        return original(self, *arguments)

    return {name: method}


class Slow(torch.utils.data.Dataset):  # type: ignore[misc, type-arg, unused-ignore]
    """Five batches of one sample; each but the first takes a fifth of a second to load."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, place: int) -> Any:
        time.sleep(0.2 if place else 0)
        return torch.full((4,), 0.5)


class SlowToWrite(PL.plugins.TorchCheckpointIO):  # type: ignore[misc, name-defined]
    """Takes a while to write a checkpoint."""

    def save_checkpoint(self, *arguments: Any, **options: Any) -> None:
        time.sleep(0.2)
        super().save_checkpoint(*arguments, **options)


@pytest.mark.parametrize(
    ("activity", "model", "loaders", "least"),
    [
        ("train", asleep("training_step"), [data(), data()], 1.6),
        # The first step is `startup`; one batch is prefetched in it.
        ("data_wait", {}, [torch.utils.data.DataLoader(Slow(), batch_size=1), data()], 0.9),
        ("validate", asleep("validation_step"), [data(), data(16)], 0.7),
        ("startup", {"on_train_start": lambda self: time.sleep(1)}, [data(), data()], 0.9),
        ("other", asleep("on_train_epoch_end", each=0.5), [data(), data()], 0.9),
    ],
    ids=["train", "data_wait", "validate", "startup", "other"],
)
def test_each_activity_has_the_time_that_was_spent_in_it(
    pages: Pages,
    activity: str,
    model: dict[str, Any],
    loaders: list[Any],
    least: float,
) -> None:
    fitter = trainer(exporter(pages, update_freq="batch"), num_sanity_val_steps=0)
    fitter.fit(module(**model), *loaders)
    found = seconds(pages)
    assert found.pop(activity) > least
    found.pop("startup", None)  # whatever the first step was the first to import
    assert sum(found.values()) < least * 0.7


def test_a_validation_inside_an_epoch_is_no_wait_for_data(pages: Pages) -> None:
    fitter = trainer(exporter(pages), max_epochs=1, val_check_interval=2, num_sanity_val_steps=0)
    fitter.fit(module(**asleep("validation_step")), data(), data(8))
    found = seconds(pages)
    assert found["validate"] > 0.35
    assert found["data_wait"] < 0.2


@pytest.mark.parametrize("when", [{"every_n_train_steps": 1}, {"every_n_epochs": 1}])
def test_the_time_of_saving_is_no_wait_for_data(pages: Pages, tmp_path: Path, when: dict[str, int]) -> None:
    saves = PL.callbacks.ModelCheckpoint(tmp_path, **when)
    callbacks = [exporter(pages, per_rank=True), saves]
    fitter = trainer(*callbacks, enable_checkpointing=True, plugins=[SlowToWrite()])
    fitter.fit(module(), data(), data())
    found = seconds(pages)
    assert found["checkpoint"] > (1.9 if "every_n_train_steps" in when else 0.38)
    assert found["data_wait"] < 0.2
    assert found["train"] < 0.5
    times = pages.last.newest.step_times
    assert times is not None
    assert times.data_wait is not None
    assert times.data_wait < 0.3
