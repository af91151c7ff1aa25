"""Lightning's adapter passes what every adapter must pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gangplank.testing import AdapterContract
from support.lightning_model import PL, WARNINGS, data, module, trainer

pytestmark = WARNINGS


class TestLightning(AdapterContract):
    """A linear layer, and a loss by epoch."""

    adapter = "lightning"

    def train(self, exporter: Any, epochs: int, each_epoch: Callable[[int], None]) -> Mapping[str, float]:
        def on_train_epoch_end(self: Any) -> None:
            each_epoch(self.current_epoch)

        fitter = trainer(exporter, max_epochs=epochs)
        fitter.fit(module(on_train_epoch_end=on_train_epoch_end), data(), data(24))
        found = {name: float(number) for name, number in fitter.callback_metrics.items()}
        return {"loss": found["train_loss"], "val_loss": found["val_loss"]}

    def train_nothing(self, exporter: Any) -> None:
        trainer(exporter, max_epochs=0).fit(module(), data(), data(24))

    def train_steps(self, exporter: Any, steps: int) -> Mapping[str, float]:
        def training_step(self: Any, batch: Any, index: int) -> Any:
            loss = self.layer(batch).pow(2).mean()
            self.log("loss", loss, on_step=True)
            return loss

        fitter = trainer(exporter, max_epochs=1, log_every_n_steps=1)
        fitter.fit(module(training_step=training_step), data(8 * steps))
        return {"loss": float(fitter.callback_metrics["loss"])}

    def evaluate(self, exporter: Any) -> Mapping[str, float]:
        [found] = trainer(exporter).test(module(), data(24), verbose=False)
        return {"loss": found["test_loss"]}

    def become_rank(self, rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(PL.Trainer, "global_rank", rank)
