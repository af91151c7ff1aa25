"""A training in two processes, as a program: what it does is in a JSON file, and what happened in others beside it.

Lightning starts the second process as this program again.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")

import lightning.pytorch as pl  # noqa: E402
import torch  # noqa: E402
import torch.distributed  # noqa: E402

from gangplank.lightning import TrainTestExporter  # noqa: E402

COLLECTIVES = [
    "all_gather",
    "all_gather_into_tensor",
    "all_gather_object",
    "all_reduce",
    "all_to_all",
    "barrier",
    "broadcast",
    "broadcast_object_list",
    "gather",
    "gather_object",
    "monitored_barrier",
    "recv",
    "reduce",
    "reduce_scatter",
    "scatter",
    "send",
]


class Scene:
    """What is to happen, and where to write what does."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.plan = json.loads(self.path.read_text())

    def note(self, rank: int, **what: Any) -> None:
        with (self.path.parent / f"rank{rank}.jsonl").open("a") as file:
            file.write(json.dumps({"time": time.monotonic(), "pid": os.getpid(), **what}) + "\n")

    def is_slow(self, where: str, rank: int) -> bool:
        return bool(self.plan.get("slow") == where and rank == 1)


class Features(torch.utils.data.Dataset):  # type: ignore[misc]
    """Samples that one rank may be slow to load."""

    def __init__(self, scene: Scene, samples: int = 64) -> None:
        self.scene = scene
        self.features = torch.randn(samples, 4, generator=torch.Generator().manual_seed(1))

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: int) -> Any:
        if self.scene.is_slow("loader", torch.distributed.get_rank()):
            time.sleep(self.scene.plan["seconds"] / 4)
        return self.features[index]


class Module(pl.LightningModule):  # type: ignore[misc]
    """A linear layer whose metrics are reduced over the ranks, one of which may be slow to compute, or fail."""

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)
        self.scene = scene

    def training_step(self, batch: Any, index: int) -> Any:
        plan = self.scene.plan
        time.sleep(plan.get("step", 0.0))
        if self.scene.is_slow("compute", self.global_rank):
            time.sleep(plan["seconds"])
        if plan.get("fails_on") == self.global_rank and self.current_epoch == 1:
            raise RuntimeError("of the user's")
        loss = self.layer(batch).pow(2).mean() + self.global_rank
        # What is reduced in each step waits for the others there, before the backward pass.
        self.log("train_loss", loss, on_step=not plan.get("slow"), on_epoch=True, sync_dist=True)
        return loss

    def validation_step(self, batch: Any, index: int) -> None:
        self.log("val_loss", self.layer(batch).pow(2).mean() + self.global_rank, sync_dist=True)

    def test_step(self, batch: Any, index: int) -> None:
        self.log("test_loss", self.layer(batch).pow(2).mean() + self.global_rank, sync_dist=True)

    def on_train_epoch_end(self) -> None:
        self.log("late", float(self.global_rank), sync_dist=True)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def on_train_batch_end(self, *_: Any) -> None:
        self.scene.note(self.global_rank, event="batch", epoch=self.current_epoch)

    def on_train_end(self) -> None:
        self.scene.note(self.global_rank, event="fitted")

    def on_test_start(self) -> None:
        self.scene.note(self.global_rank, event="test")


def hooks_of(exporter: type[TrainTestExporter]) -> list[str]:
    return [name for name in vars(exporter) if name.startswith("on_") or name == "teardown"]


class Watched(TrainTestExporter):
    """Fails where one of its hooks begins a collective, and measures how long they take."""

    inside = False
    seconds = 0.0


def watch(scene: Scene) -> None:
    def watched(hook: Any) -> Any:
        @functools.wraps(hook)
        def call(self: Any, trainer: Any, *arguments: Any, **named: Any) -> None:
            Watched.inside, began = True, time.monotonic()
            try:
                hook(self, trainer, *arguments, **named)
            finally:
                Watched.inside = False
                Watched.seconds += time.monotonic() - began

        return call

    def forbidden(name: str, collective: Any) -> Any:
        @functools.wraps(collective)
        def call(*arguments: Any, **named: Any) -> Any:
            if Watched.inside:
                scene.note(torch.distributed.get_rank(), event="collective", name=name)
                raise AssertionError(name)
            return collective(*arguments, **named)

        return call

    for name in hooks_of(TrainTestExporter):
        setattr(Watched, name, watched(getattr(TrainTestExporter, name)))
    for place in (torch.distributed, torch.distributed.distributed_c10d):
        for name in COLLECTIVES:
            with contextlib.suppress(AttributeError):
                setattr(place, name, forbidden(name, getattr(place, name)))


def main() -> None:
    scene = Scene(sys.argv[1])
    plan = scene.plan
    watch(scene)
    exporter = Watched(plan["address"], "two", **plan.get("options", {}))
    trainer = pl.Trainer(
        max_epochs=plan.get("epochs", 2),
        accelerator="cpu",
        devices=2,
        strategy=plan.get("strategy", "ddp"),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[exporter],
    )
    model, samples = Module(scene), Features(scene)
    loader = torch.utils.data.DataLoader(samples, batch_size=4)
    rank = trainer.global_rank
    scene.note(rank, event="begun")
    trainer.fit(model, loader, loader if plan.get("validates", True) else None)
    if trainer.strategy.launcher is not None and trainer.strategy.launcher.is_interactive_compatible:
        return  # spawned: what happened is in the other processes
    fitted = {name: float(number) for name, number in trainer.callback_metrics.items()}
    scene.note(rank, event="fit returned", metrics=fitted)
    if plan.get("tests"):
        [tested] = trainer.test(model, loader, verbose=False)
        scene.note(rank, event="test returned", metrics=tested)
    scene.note(rank, event="ended", in_hooks=Watched.seconds)
    if torch.distributed.is_initialized():  # gloo's threads may otherwise abort a process that ends
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
