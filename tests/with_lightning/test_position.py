"""Position, samples and learning rates."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch

import gangplank
from gangplank.lightning import TrainTestExporter
from gangplank.lightning.batches import size_of
from gangplank.lightning.learning_rates import named, rates_of
from support.lightning_model import WARNINGS, data, module, trainer
from support.lightning_pages import Pages, exporter, values
from support.reading import value
from support.servers import Server

pytestmark = WARNINGS


def test_position_time_and_model_are_shown(gateway: Server) -> None:
    trainer(TrainTestExporter(gateway.address, "digits"), max_epochs=3).fit(module(), data(), data())
    assert value(gateway, "gangplank_run_epoch") == 3
    assert value(gateway, "gangplank_run_epochs_planned") == 3
    assert value(gateway, "gangplank_run_step") == 15
    assert value(gateway, "gangplank_train_learning_rate") == 0.1
    assert value(gateway, "gangplank_train_model_parameters", trainable="true") == 10
    assert value(gateway, "gangplank_train_model_parameters", trainable="false") == 0
    assert (value(gateway, "gangplank_run_epoch_duration_seconds") or 0) > 0
    assert (value(gateway, "gangplank_run_samples_per_second") or 0) > 0
    assert value(gateway, "gangplank_run_step_duration_seconds_count") == 15


@pytest.mark.parametrize("accumulated", [1, 2])
def test_the_step_is_lightnings(pages: Pages, accumulated: int) -> None:
    fitter = trainer(exporter(pages), accumulate_grad_batches=accumulated)
    fitter.fit(module(), data())
    assert pages.last.newest.step == fitter.global_step == (10 if accumulated == 1 else 6)


def test_the_samples_are_those_of_the_epochs_training(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(gangplank.Run, "record", lambda run, metrics=None, **what: seen.append(what.get("samples")))
    trainer(TrainTestExporter("gateway:1", "digits")).fit(module(), data(36), data(100))
    assert seen[:2] == [36, 36]


def test_their_time_is_without_the_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    def validation_step(self: Any, *_: Any) -> None:
        time.sleep(0.1)

    seen: list[Any] = []
    monkeypatch.setattr(gangplank.Run, "record", lambda run, metrics=None, **what: seen.append(what.get("seconds")))
    model = module(validation_step=validation_step)
    trainer(TrainTestExporter("gateway:1", "digits"), num_sanity_val_steps=0).fit(model, data(), data())
    assert max(seen[:2]) < 0.4


def holds_itself() -> list[Any]:
    itself: list[Any] = []
    itself += [itself, itself]
    return itself


@pytest.mark.parametrize(
    ("batch", "size"),
    [
        (torch.ones(5, 2), 5),
        ([torch.ones(5, 2), torch.ones(5)], 5),
        ({"x": torch.ones(5, 2), "deep": (np.ones((5, 3)), [torch.ones(5)])}, 5),
        ((torch.ones(5, 2), torch.tensor(1.0)), 5),
        ((torch.ones(5, 2), ["text"] * 3), 5),
        (([torch.ones(3, 8, 8), torch.ones(3, 8, 8)], [torch.ones(4, 4), torch.ones(2, 4)]), None),
        ("text", None),
        (None, None),
        ({}, None),
        ((torch.ones(5, 2), list(range(1000))), 5),
        ([torch.ones(5)] * 1000, 5),
        ((torch.ones(5, 2), holds_itself()), None),
    ],
)
def test_a_batchs_size_is_known_or_none(batch: Any, size: int | None) -> None:
    assert size_of(batch) == size


def scheduled(interval: str, rate: Any = 0.8) -> Any:
    def configure_optimizers(self: Any) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=rate)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
        return [optimizer], [{"scheduler": scheduler, "interval": interval}]

    return configure_optimizers


@pytest.mark.parametrize("rate", [0.8, torch.tensor(0.8)])
@pytest.mark.parametrize(("interval", "rates"), [("epoch", [0.8, 0.4]), ("step", [0.8 * 0.5**4, 0.8 * 0.5**9])])
def test_the_learning_rate_is_the_one_that_the_epochs_last_step_used(
    pages: Pages, interval: str, rates: list[float], rate: Any
) -> None:
    kept = rate.clone() if isinstance(rate, torch.Tensor) else rate  # which the scheduler changes in place
    trainer(exporter(pages)).fit(module(configure_optimizers=scheduled(interval, kept)), data())
    shown = [page.newest.learning_rates[""] for page in pages.pages if page.newest.epoch and page.newest.learning_rates]
    assert list(dict.fromkeys(shown)) == pytest.approx(rates)


def test_a_group_that_is_added_shifts_no_rate_to_another_optimizer() -> None:
    parameters = [torch.nn.Parameter(torch.ones(1)) for _ in range(3)]
    optimizers = [torch.optim.SGD(parameters[:1], lr=0.5), torch.optim.Adam(parameters[1:2], lr=0.25)]
    rates = rates_of(optimizers)
    optimizers[0].add_param_group({"params": parameters[2:]})
    assert named(rates, optimizers) == {"SGD/pg1": 0.5, "Adam": 0.25}


class Rateless(torch.optim.Optimizer):  # type: ignore[misc]
    """An optimizer of one's own, which has no learning rate."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {})

    def step(self, closure: Any = None) -> Any:
        return closure()


def test_an_optimizer_without_a_learning_rate_loses_nothing_else(pages: Pages) -> None:
    trainer(exporter(pages)).fit(module(configure_optimizers=lambda self: Rateless(self.parameters())), data())
    assert "loss" in values(pages.last)
    assert pages.last.state == "finished"
    assert pages.last.newest.learning_rates == {}


@pytest.mark.filterwarnings("ignore:train_dataloader yielded None")
def test_a_batch_that_is_skipped_counts_no_step_and_no_sample(pages: Pages) -> None:
    loader: Any = torch.utils.data.DataLoader(
        range(5), batch_size=1, collate_fn=lambda one: torch.ones(8, 4) if one[0] % 2 else None
    )
    options = {"update_freq": "batch", "push_interval": 0.000001}
    fitter = trainer(exporter(pages, per_rank=True, **options), max_epochs=1)
    fitter.fit(module(), loader)
    assert fitter.global_step == 2
    times = pages.last.newest.step_times
    assert times is not None
    assert sum(times.counts) == 2
    assert times.data_wait is not None
    assert times.data_wait > 0
    assert (pages.last.newest.samples_per_second or 0) > 0


def test_each_optimizer_and_group_has_its_learning_rate(pages: Pages) -> None:
    def configure_optimizers(self: Any) -> Any:
        weight, bias = self.layer.parameters()
        groups = [{"params": [weight], "lr": 0.1}, {"params": [bias], "lr": torch.tensor(0.2), "name": "bias"}]
        return [torch.optim.SGD([weight], lr=0.3), torch.optim.SGD([bias], lr=0.4), torch.optim.AdamW(groups)]

    def training_step(self: Any, batch: Any, index: int) -> None:
        for optimizer in self.optimizers():
            optimizer.zero_grad()
            self.manual_backward(self.layer(batch).pow(2).mean())
            optimizer.step()

    model = module(configure_optimizers=configure_optimizers, training_step=training_step)
    model.automatic_optimization = False
    fitter = trainer(exporter(pages, gradient_norm=True))
    fitter.fit(model, data())
    expected = {"SGD": 0.3, "SGD-1": 0.4, "AdamW/pg1": 0.1, "AdamW/bias": 0.2}
    assert pages.last.newest.learning_rates == pytest.approx(expected)
    assert pages.last.newest.step == fitter.global_step == 30
    assert values(pages.last).keys() == {"gradient_norm_0", "gradient_norm_1", "gradient_norm_2"}
