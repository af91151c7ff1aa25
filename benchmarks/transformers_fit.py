"""Measures Transformers, in a worker: a small module is trained, and a callback's hooks are timed."""

from __future__ import annotations

import importlib
import tempfile
from typing import Any

from benchmarks.contest import MissingError, check
from benchmarks.fitting import BATCH, EMPTY, microseconds, samples, timed

HOOKS = {"step": ("on_step_begin", "on_step_end"), "log": ("on_log",)}


def fit(name: str, address: str, steps: int, hook: str) -> float:
    """Return the microseconds of a contestant per step, without its log, or per log of a step.

    Args:
        name: the contestant.
        address: of the gateway.
        steps: how many to train.
        hook: `step` or `log`.
    """
    try:
        transformers = importlib.import_module("transformers")
    except ImportError:
        raise MissingError("transformers is not installed") from None
    transformers.utils.logging.set_verbosity_error()
    torch = importlib.import_module("torch")
    x, y = samples(steps * BATCH)
    labelled = zip(torch.from_numpy(x), y.tolist(), strict=True)
    with tempfile.TemporaryDirectory() as folder:
        callback: Any = transformers.TrainerCallback()
        if name == "gangplank":
            adapter = importlib.import_module("gangplank.transformers")
            callback = adapter.TrainTestExporter(address, "bench-transformers")
        elif name != EMPTY:
            callback = transformers.integrations.TensorBoardCallback()
        taken = timed(callback, *HOOKS[hook])
        trainer = transformers.Trainer(
            _net(torch),
            transformers.TrainingArguments(
                output_dir=folder,
                per_device_train_batch_size=BATCH,
                num_train_epochs=1,
                logging_steps=1 if hook == "log" else steps + 1,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                use_cpu=True,
            ),
            train_dataset=[{"x": one, "labels": label} for one, label in labelled],
            callbacks=[callback],
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
        check(trainer.state.global_step == steps, f"{trainer.state.global_step} steps, not {steps}")
    return microseconds(taken)


def _net(torch: Any) -> Any:
    class Net(torch.nn.Module):  # type: ignore[misc]  # its type is unknown
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10))

        def forward(self, x: Any, labels: Any) -> Any:
            return {"loss": torch.nn.functional.cross_entropy(self.net(x), labels)}

    return Net()
