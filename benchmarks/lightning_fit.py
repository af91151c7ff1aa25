"""Measures Lightning, in a worker: a small module is trained, and its exporter or logger is timed."""

from __future__ import annotations

import importlib
import logging
import tempfile
from typing import Any

from benchmarks.contest import MissingError, check
from benchmarks.fitting import BATCH, EMPTY, microseconds, samples, timed

# In the order in which a step calls them.
HOOKS = ("on_train_batch_start", "on_before_backward", "on_before_optimizer_step", "on_train_batch_end")


def fit(name: str, address: str, steps: int) -> float:
    """Return the microseconds per step of a contestant."""
    try:
        lightning = importlib.import_module("lightning.pytorch")
    except ImportError:
        raise MissingError("lightning is not installed") from None
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch = importlib.import_module("torch")
    x, y = samples(steps * BATCH)
    data = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    with tempfile.TemporaryDirectory() as folder:
        exporter, logger = None, None
        if name == "gangplank":
            lightning_adapter = importlib.import_module("gangplank.lightning")
            exporter = lightning_adapter.TrainTestExporter(address, "bench-lightning", update_freq="batch")
            taken = timed(exporter, *HOOKS)
        elif name == EMPTY:
            exporter = importlib.import_module("lightning.pytorch.callbacks").Callback()
            taken = timed(exporter, *HOOKS)
        else:
            loggers = importlib.import_module("lightning.pytorch.loggers")
            logger = (loggers.TensorBoardLogger if name == "tensorboard" else loggers.CSVLogger)(folder)
            taken = timed(logger, "log_metrics", "save")
        trainer = lightning.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=logger or False,
            log_every_n_steps=1,
            callbacks=[exporter] if exporter else [],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        module = _module(lightning, torch)
        trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=BATCH))
        check(trainer.global_step == steps, f"{trainer.global_step} steps, not {steps}")
    return microseconds(taken)


def _module(lightning: Any, torch: Any) -> Any:
    class Classifier(lightning.LightningModule):  # type: ignore[misc]  # its type is unknown
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10))

        def training_step(self, batch: Any) -> Any:
            x, y = batch
            loss = torch.nn.functional.cross_entropy(self.net(x), y)
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.net.parameters(), lr=0.01)

    return Classifier()
