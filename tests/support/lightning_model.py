"""Small modules, data and Trainers, of `lightning.pytorch` and of `pytorch_lightning`."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what the frameworks warn of while they are imported is theirs
    import torch

    PACKAGES = [importlib.import_module(name) for name in ("lightning.pytorch", "pytorch_lightning")]
    PL = PACKAGES[0]

# What Lightning has to say about such small trainings, and about PyTorch 2.13.
WARNINGS = [
    pytest.mark.filterwarnings(rf"ignore:{message}")
    for message in (
        "The '.*_dataloader' does not have many workers",
        r"The number of training batches \(\d+\) is smaller than the logging interval",
        ".*isinstance.treespec, LeafSpec.. is deprecated",
        "`training_step` returned `None`",
        "You defined a `validation_step` but have no `val_dataloader`",
        "GPU available but not used",
        "Detected KeyboardInterrupt",
    )
]


def each_package() -> pytest.MarkDecorator:
    """Run a test with both packages, as `pl`."""
    return pytest.mark.parametrize("pl", PACKAGES, ids=lambda package: package.__name__)


def data(samples: int = 40, batch: int = 8) -> Any:
    """Batches of 4 features each."""
    features = torch.randn(samples, 4, generator=torch.Generator().manual_seed(1))
    return torch.utils.data.DataLoader(features, batch_size=batch)


def module(pl: Any = PL, **methods: Callable[..., Any]) -> Any:
    """Return a module of one linear layer that logs a loss in every phase, but for the methods that the test has."""

    def init(self: Any) -> None:
        pl.LightningModule.__init__(self)
        torch.manual_seed(1)
        self.layer = torch.nn.Linear(4, 2)

    def loss_in(phase: str) -> Callable[..., Any]:
        def step(self: Any, batch: Any, *_: Any) -> Any:
            loss = self.layer(batch).pow(2).mean()
            self.log(f"{phase}_loss", loss, on_step=False, on_epoch=True)
            return loss

        return step

    own = {
        "__init__": init,
        "training_step": loss_in("train"),
        "validation_step": loss_in("val"),
        "test_step": loss_in("test"),
        "predict_step": lambda self, batch, *_: self.layer(batch),
        "configure_optimizers": lambda self: torch.optim.SGD(self.parameters(), lr=0.1),
    }
    return type("Module", (pl.LightningModule,), {**own, **methods})()


def trainer(*callbacks: Any, pl: Any = PL, **options: Any) -> Any:
    """Return a Trainer that shows and stores nothing."""
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"),
        False,
    )
    return pl.Trainer(callbacks=list(callbacks), accelerator="cpu", **{"max_epochs": 2, **quiet, **options})


class Saves(PL.Callback):  # type: ignore[misc, name-defined]
    """Saves a checkpoint of its own after some steps."""

    def __init__(self, path: Path, *steps: int) -> None:
        self.path, self.steps = path, steps

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step in self.steps:
            trainer.save_checkpoint(self.path / "own.ckpt")


def trusted(fitter: Any) -> dict[str, bool]:
    """Return what `fit` takes to load a checkpoint of our own making; before 2.6, Lightning has no such option."""
    return {"weights_only": False} if "weights_only" in inspect.signature(fitter.fit).parameters else {}


def saved_steps(fitter: Any) -> list[int]:
    """Return the list of the steps at which a Trainer saves from now on: versions of Lightning differ in these."""
    steps: list[int] = []
    save = fitter.save_checkpoint

    def noted(*arguments: Any, **more: Any) -> None:
        save(*arguments, **more)
        if fitter.global_step not in steps:
            steps.append(fitter.global_step)

    fitter.save_checkpoint = noted
    return steps
