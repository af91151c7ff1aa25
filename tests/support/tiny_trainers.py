"""A very small model, its data, and Trainers of Transformers that train it."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

# Of torch and accelerate, on a machine without an accelerator.
WARNINGS = [
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning"),
]


class Net(torch.nn.Module):  # type: ignore[misc]  # mypy does not follow torch
    """A linear layer, which may be slow, and whose loss may be NaN."""

    def __init__(self, *, seconds: float = 0.0, nan_from: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer = torch.nn.Linear(4, 1)
        self.frozen = torch.nn.Parameter(torch.zeros(3), requires_grad=False)
        self.seconds = seconds
        self.nan_from = nan_from
        self.calls = 0

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        time.sleep(self.seconds if self.training else 0)
        output = self.layer(x).squeeze(-1)
        loss = (output - labels).pow(2).mean()
        if self.training:
            self.calls += 1
            loss = loss * float("nan") if self.nan_from is not None and self.calls > self.nan_from else loss
        return {"loss": loss, "logits": output}


class Points(torch.utils.data.Dataset):  # type: ignore[misc]
    """Points and their sums, which may be slow to load."""

    def __init__(self, count: int = 40, *, seconds: float = 0.0) -> None:
        self.points = torch.randn(count, 4, generator=torch.Generator().manual_seed(1))
        self.seconds = seconds

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        time.sleep(self.seconds)
        return {"x": self.points[index], "labels": self.points[index].sum()}


class Stream(torch.utils.data.IterableDataset):  # type: ignore[misc]
    """The same points, without a length."""

    def __init__(self, count: int = 40) -> None:
        self.points = Points(count)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        return (self.points[index] for index in range(len(self.points)))


class Calls(TrainerCallback):  # type: ignore[misc]
    """Calls something in a hook of the Trainer, at one step or always."""

    def __init__(self, hook: str, call: Callable[..., object], *, step: int | None = None) -> None:
        def called(args: Any, state: Any, control: Any, **more: Any) -> None:
            if step is None or state.global_step == step:
                call()

        setattr(self, hook, called)


def tiny_trainer(
    *callbacks: Any,
    model: Any = None,
    train: Any = None,
    held_out: Any = None,
    kind: type[Trainer] = Trainer,
    more: dict[str, Any] | None = None,
    **arguments: Any,
) -> Trainer:
    """Return a Trainer: two epochs of ten steps, with a log at every third step.

    Args:
        callbacks: its callbacks, the exporter among them.
        model: what is trained, a new `Net` by default; False for none.
        train: the training data, 40 points by default.
        held_out: the data of evaluations.
        kind: the class of the Trainer.
        more: its other arguments.
        arguments: TrainingArguments that differ.
    """
    chosen = {
        "output_dir": tempfile.mkdtemp(),
        "per_device_train_batch_size": 4,
        "num_train_epochs": 2,
        "logging_steps": 3,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
        "seed": 1,
        **arguments,
    }
    return kind(
        None if model is False else model or Net(),
        TrainingArguments(**chosen),
        train_dataset=Points() if train is None else train,
        eval_dataset=Points(8) if held_out is None else held_out,
        callbacks=list(callbacks),
        **(more or {}),
    )


class Crash(Exception):  # noqa: N818  it stands for any exception of a training
    """Ends a training."""


def crash() -> None:
    raise Crash


@contextlib.contextmanager
def crashes() -> Iterator[None]:
    """Catch the exception of a training, and keep nothing of it."""
    with contextlib.suppress(Crash):
        yield
