"""`gangplank.lightning.TrainTestExporter` in real Lightning runs, in one process."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import math
import pickle
import subprocess
import sys
import time
import types
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

import gangplank
from gangplank import HISTOGRAM_WEIGHT_BUCKETS_0_3, Page
from gangplank.lightning import TrainTestExporter
from gangplank.lightning.batches import size_of
from gangplank.lightning.logged import News
from gangplank.lightning.optimizers import named, rates_of
from reading import samples, value
from servers import Server
from with_lightning.model import PL, WARNINGS, data, each_package, module, trainer

pytestmark = WARNINGS


class Pages:
    """A destination that keeps every page."""

    def __init__(self) -> None:
        self.taken: list[Page] = []

    def send(self, page: Page, timeout: float) -> None:
        self.taken.append(page)

    def close(self) -> None:
        """Keep them."""

    def of(self, phase: str) -> list[Page]:
        return [page for page in self.taken if page.phase == phase]

    @property
    def last(self) -> Page:
        return self.taken[-1]

    def seen(self, metric: str) -> list[tuple[int | None, float]]:
        """Return the values of a metric and the epochs that they are from, each once, in their order."""
        held = [page.metrics[metric] for page in self.taken if metric in page.metrics]
        return list(dict.fromkeys((epoch, number) for number, epoch in held))


@pytest.fixture
def pages() -> Pages:
    return Pages()


def exporter(pages: Pages, **options: Any) -> TrainTestExporter:
    """Return an exporter to the pages, each of which is waited for."""
    return TrainTestExporter("here", "digits", sink=lambda _: pages, ignore_exceptions=False, **options)


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(metric) for name, metric in metrics.items()}


def values(page: Page) -> dict[str, float]:
    return {name: number for name, (number, _) in page.metrics.items()}


# Phases and values.


@each_package()
@pytest.mark.parametrize("logger", [False, True])
def test_the_gateway_holds_what_lightning_computed(gateway: Server, tmp_path: Any, pl: Any, logger: bool) -> None:
    callback, model = TrainTestExporter(gateway.address, "digits"), module(pl)
    fitter = trainer(callback, pl=pl, logger=logger and pl.loggers.CSVLogger(tmp_path))
    fitter.fit(model, data(), data(24))
    fitted = numbers(fitter.callback_metrics)
    assert fitted.keys() == {"train_loss", "val_loss"}
    assert value(gateway, "gangplank_train_loss") == fitted["train_loss"]
    assert value(gateway, "gangplank_train_val_loss") == fitted["val_loss"]
    for phase, run in (("validate", fitter.validate), ("test", fitter.test)):
        [found] = run(model, data(16), verbose=False)
        assert value(gateway, f"gangplank_{phase}_loss") == next(iter(found.values()))
        assert value(gateway, "gangplank_run_state", phase=phase, state="finished") == 1
    fitter.predict(model, data(20))
    assert value(gateway, "gangplank_predict_batches") == 3
    assert value(gateway, "gangplank_predict_samples") == 20
    assert (value(gateway, "gangplank_predict_elapsed_time_seconds") or 0) > 0
    assert value(gateway, "gangplank_run_state", phase="predict", state="finished") == 1
    assert value(gateway, "gangplank_train_loss") == fitted["train_loss"], "what comes later erases nothing"
    info = next(samples(gateway.metrics(), "gangplank_run_info", phase="train")).labels
    assert (info["framework"], info["framework_version"]) == ("lightning", pl.__version__)


def test_what_is_logged_by_step_and_by_epoch_keeps_lightnings_names(pages: Pages) -> None:
    def training_step(self: Any, batch: Any, index: int) -> Any:
        loss = self.layer(batch).pow(2).mean()
        self.log("train/loss", loss, on_step=True, on_epoch=True)
        self.log("only_step", float(index))
        return loss

    fitter = trainer(exporter(pages))
    fitter.fit(module(training_step=training_step), data())
    found = numbers(fitter.callback_metrics)
    assert found.keys() == {"train/loss", "train/loss_step", "train/loss_epoch", "only_step"}
    assert values(pages.last) == {
        "loss": found["train/loss"],
        "loss_step": found["train/loss_step"],
        "loss_epoch": found["train/loss"],
        "only_step": 4.0,
    }


def test_several_dataloaders_keep_their_number(pages: Pages) -> None:
    fitter = trainer(exporter(pages))
    fitter.fit(module(), data(), [data(16), data(24)])
    found = numbers(fitter.callback_metrics)
    assert {name: number for name, number in values(pages.last).items() if name.startswith("val_")} == {
        f"val_loss_dataloader_idx_{index}": found[f"val_loss/dataloader_idx_{index}"] for index in (0, 1)
    }
    fitter.test(module(), [data(16), data(24)], verbose=False)
    assert values(pages.last).keys() == {"loss_dataloader_idx_0", "loss_dataloader_idx_1"}


def test_what_the_modules_last_hook_logs_is_of_its_own_epoch(pages: Pages) -> None:
    def on_train_epoch_end(self: Any) -> None:
        self.log("late", float(self.current_epoch))

    trainer(exporter(pages), max_epochs=3).fit(module(on_train_epoch_end=on_train_epoch_end), data())
    assert pages.seen("late") == [(1, 0.0), (2, 1.0), (3, 2.0)]


def test_a_validation_shows_where_it_ran_and_only_there(pages: Pages) -> None:
    seen: list[tuple[int, float]] = []

    def on_validation_epoch_end(self: Any) -> None:
        if not self.trainer.sanity_checking:
            seen.append((self.current_epoch + 1, float(len(seen))))
        self.log("val_ran", float(len(seen) - 1))

    model = module(on_validation_epoch_end=on_validation_epoch_end)
    trainer(exporter(pages), max_epochs=7, check_val_every_n_epoch=3, num_sanity_val_steps=2).fit(model, data(), data())
    assert [epoch for epoch, _ in seen] == [3, 6]
    assert pages.seen("val_ran") == seen
    assert "val_ran" not in next(page for page in pages.taken if page.epoch == 2).metrics


def test_the_sanity_check_is_nothing(pages: Pages) -> None:
    trainer(exporter(pages), max_epochs=1, check_val_every_n_epoch=2, num_sanity_val_steps=2).fit(
        module(), data(), data()
    )
    assert values(pages.last).keys() == {"loss"}
    assert {page.phase for page in pages.taken} == {"train"}


def test_a_validation_inside_an_epoch_is_recorded_at_once(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    def on_validation_epoch_end(self: Any) -> None:
        self.log("val_step", float(self.global_step))

    recorded = []
    record = gangplank.Run.record

    def recording(run: gangplank.Run, metrics: Any = None, **what: Any) -> None:
        recorded.append((dict(metrics or {}), what.get("epoch"), what.get("step")))
        record(run, metrics, **what)

    monkeypatch.setattr(gangplank.Run, "record", recording)
    model = module(on_validation_epoch_end=on_validation_epoch_end)
    trainer(exporter(pages), max_epochs=1, val_check_interval=2).fit(model, data(), data())
    (first, *first_position), (second, *second_position), (whole, *position) = recorded[:3]
    assert first.keys() == second.keys() == {"val_loss", "val_step"}, "and what Lightning has not computed yet is not"
    assert (first["val_step"], first_position) == (2.0, [None, 2])
    assert (second["val_step"], second_position) == (4.0, [None, 4])
    assert (whole["val_step"], position) == (4.0, [0, 5])
    assert "train_loss" in whole
    assert pages.seen("val_step")[-1] == (1, 4.0)


def test_only_the_named_metrics_are_exported(pages: Pages) -> None:
    trainer(exporter(pages, metrics=["val_loss"])).fit(module(), data(), data())
    assert values(pages.last).keys() == {"val_loss"}


def test_a_value_is_read_with_one_copy(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    def training_step(self: Any, batch: Any, index: int) -> Any:
        for number in range(20):
            self.log(f"metric_{number}", self.layer(batch).mean(), on_step=True, on_epoch=True, prog_bar=True)
        return self.layer(batch).pow(2).mean()

    copies = []
    for name in ("tolist", "item", "__float__", "__int__", "__bool__", "cpu", "numpy"):
        original = getattr(torch.Tensor, name)

        def copied(tensor: Any, *how: Any, original: Any = original, name: str = name) -> Any:
            frame: Any = sys._getframe(1)  # noqa: SLF001
            while frame is not None:
                if "gangplank" in frame.f_globals.get("__name__", "").split(".")[0]:
                    copies.append(name)
                    break
                frame = frame.f_back
            return original(tensor, *how)

        monkeypatch.setattr(torch.Tensor, name, copied)
    trainer(exporter(pages, update_freq="batch", push_interval=1000), max_epochs=3).fit(
        module(training_step=training_step), data(), data()
    )
    assert len(values(pages.last)) == 61
    # Three epochs, and the first step.
    assert copies == ["tolist"] * 4


def test_steps_are_exported_where_wanted(pages: Pages) -> None:
    def training_step(self: Any, batch: Any, index: int) -> Any:
        self.log("by_both", float(self.global_step), on_step=True, on_epoch=True)
        self.log("by_step", float(self.global_step))
        return self.layer(batch).pow(2).mean()

    callback = exporter(pages, update_freq=3, push_interval=0.000001)
    trainer(callback, max_epochs=2, num_sanity_val_steps=0, check_val_every_n_epoch=2).fit(
        module(training_step=training_step), data(), data()
    )
    of_steps = [number for epoch, number in pages.seen("by_step") if epoch is None]
    assert set(of_steps) <= {0.0, 3.0, 6.0, 9.0}
    assert len(of_steps) > 1
    assert pages.seen("by_both") == [(1, 2.0), (2, 7.0)], "the epoch's mean, and never a step's value"
    assert pages.last.step == 10


def test_a_step_that_is_read_late_says_what_was_logged_up_to_it() -> None:
    logged: dict[str, Any] = {}
    fitter, news = types.SimpleNamespace(_logger_connector=types.SimpleNamespace(_callback_metrics=logged)), News()
    logged["rare"] = torch.tensor(1.0)
    news.of_step(fitter, {})
    logged["loss"] = torch.tensor(2.0)
    late = news.of_step(fitter, {})
    logged["val_loss"] = torch.tensor(3.0)
    assert news.of(fitter).keys() == {"rare", "loss", "val_loss"}
    assert dict(late) == {"rare": 1.0, "loss": 2.0}
    logged["loss"] = torch.tensor(4.0)
    assert dict(news.of_step(fitter, {})) == {"loss": 4.0}
    assert dict(news.of_step(fitter, {})) == {}


def test_no_step_is_exported_by_default(pages: Pages) -> None:
    trainer(exporter(pages, push_interval=0.000001)).fit(module(), data())
    assert all(page.metrics == {} or page.epoch for page in pages.taken)
    times = pages.last.step_times
    assert times is not None
    assert sum(times.counts) == 10
    assert (times.data_wait, times.forward) == (None, None)


def test_the_parts_of_a_step_are_timed_where_ranks_are_compared(pages: Pages) -> None:
    trainer(exporter(pages, per_rank=True)).fit(module(), data(), data())
    times = pages.last.step_times
    assert times is not None
    assert times.data_wait is not None
    assert times.forward is not None
    assert 0 < times.forward < times.seconds
    assert dict(pages.last.group.labels)["rank"] == "0"


# Position, optimizers, model.


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
    assert pages.last.step == fitter.global_step == (10 if accumulated == 1 else 6)


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
    shown = [page.learning_rates[""] for page in pages.taken if page.epoch and page.learning_rates]
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
    assert pages.last.learning_rates == {}


@pytest.mark.filterwarnings("ignore:train_dataloader yielded None")
def test_a_batch_that_is_skipped_counts_no_step_and_no_sample(pages: Pages) -> None:
    loader: Any = torch.utils.data.DataLoader(
        range(5), batch_size=1, collate_fn=lambda one: torch.ones(8, 4) if one[0] % 2 else None
    )
    options = {"update_freq": "batch", "push_interval": 0.000001}
    fitter = trainer(exporter(pages, per_rank=True, **options), max_epochs=1)
    fitter.fit(module(), loader)
    assert fitter.global_step == 2
    times = pages.last.step_times
    assert times is not None
    assert sum(times.counts) == 2
    assert times.data_wait is not None
    assert times.data_wait > 0
    assert (pages.last.samples_per_second or 0) > 0


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
    assert pages.last.learning_rates == pytest.approx(expected)
    assert pages.last.step == fitter.global_step == 30
    assert values(pages.last).keys() == {"gradient_norm_0", "gradient_norm_1", "gradient_norm_2"}


def tied(self: Any) -> None:
    PL.LightningModule.__init__(self)
    self.layer = torch.nn.Linear(4, 4)
    self.other = torch.nn.Linear(4, 4)
    self.other.weight = self.layer.weight


def frozen(self: Any) -> None:
    PL.LightningModule.__init__(self)
    self.layer = torch.nn.Linear(4, 2)
    self.other = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4)).requires_grad_(False)


def reduced(dtype: torch.dtype) -> Any:
    def init(self: Any) -> None:
        PL.LightningModule.__init__(self)
        self.layer = torch.nn.Linear(4, 2)
        self.other = torch.nn.Linear(4, 2, dtype=dtype)

    return init


@pytest.mark.parametrize(
    ("init", "trainable", "others"),
    [
        pytest.param(tied, 16 + 4 + 4, 0, id="tied weights"),
        pytest.param(frozen, 10, 16 + 4 + 8, id="frozen ones"),
        pytest.param(reduced(torch.bfloat16), 20, 0, id="bfloat16"),
        pytest.param(reduced(torch.half), 20, 0, id="half"),
    ],
)
def test_each_trainable_weight_is_counted_once(gateway: Server, init: Any, trainable: int, others: int) -> None:
    model = module(__init__=init)
    callback = TrainTestExporter(gateway.address, "digits", histogram_buckets=HISTOGRAM_WEIGHT_BUCKETS_0_3)
    trainer(callback).fit(model, data())
    weights = np.concatenate([p.detach().double().numpy().ravel() for p in model.parameters() if p.requires_grad])
    buckets = {
        float(s.labels["le"]): s.value for s in samples(gateway.metrics(), "gangplank_train_model_weights_bucket")
    }
    assert len(weights) == trainable
    assert buckets == {edge: (weights <= edge).sum() for edge in (*HISTOGRAM_WEIGHT_BUCKETS_0_3, math.inf)}
    assert value(gateway, "gangplank_train_model_weights_sum") == pytest.approx(math.fsum(weights), rel=1e-9)
    assert value(gateway, "gangplank_train_model_parameters", trainable="true") == trainable
    assert value(gateway, "gangplank_train_model_parameters", trainable="false") == others


@pytest.mark.parametrize("name", ["FSDPStrategy", "DeepSpeedStrategy", "ModelParallelStrategy"])
def test_sharded_weights_are_left_alone_and_that_is_said_once(
    pages: Pages, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    # Their own need several accelerators; what counts is the name, and that nobody touches the parameters.
    sharded = type(name, (PL.strategies.SingleDeviceStrategy,), {})("cpu")
    fitter = trainer(exporter(pages, histogram_buckets=[0.0], gradient_norm=True), strategy=sharded)
    fitter.fit(module(), data())
    fitter.test(module(), data(), verbose=False)
    assert [(page.weights, page.parameters) for page in pages.taken] == [(None, None)] * len(pages.taken)
    assert values(pages.of("train")[-1]).keys() == {"loss"}
    said = [record.getMessage() for record in caplog.records if "spreads the model" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith(name)


# Gradients.


def norms_seen(self: Any, optimizer: Any) -> None:
    """Take the norm that PyTorch computes, after ours has been taken."""
    gradients = [parameter.grad for parameter in self.parameters()]
    self.norms = [*getattr(self, "norms", []), float(torch.nn.utils.get_total_norm(gradients))]


@pytest.mark.parametrize("options", [{}, {"gradient_clip_val": 1e-6}, {"accumulate_grad_batches": 2}])
def test_the_gradient_norm_is_the_one_before_the_optimizer_step(pages: Pages, options: dict[str, Any]) -> None:
    model = module(on_before_optimizer_step=norms_seen)
    trainer(exporter(pages, gradient_norm=True), **options).fit(model, data())
    assert values(pages.last)["gradient_norm"] == pytest.approx(model.norms[-1])
    of_epochs = [model.norms[len(model.norms) // 2 - 1], model.norms[-1]]
    assert [norm for _, norm in pages.seen("gradient_norm")] == pytest.approx(of_epochs)


@pytest.mark.parametrize("fused", [False, True])
def test_the_gradient_norm_is_right_under_amp_scaling(pages: Pages, fused: bool) -> None:
    def configure_optimizers(self: Any) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.0, fused=fused)

    plain, scaled = (module(configure_optimizers=configure_optimizers) for _ in range(2))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    amp = PL.plugins.precision.MixedPrecision("16-mixed", "cpu", scaler=scaler)
    trainer(exporter(pages, gradient_norm=True)).fit(plain, data())
    expected = values(pages.last)["gradient_norm"]
    trainer(exporter(pages, gradient_norm=True), plugins=[amp]).fit(scaled, data())
    assert values(pages.last)["gradient_norm"] == pytest.approx(expected, rel=0.01)


def test_the_gradient_norm_is_exported_where_it_is_asked_for(pages: Pages) -> None:
    trainer(exporter(pages)).fit(module(), data())
    assert "gradient_norm" not in pages.last.metrics
    trainer(exporter(pages, metrics=["train_loss", "gradient_norm"], gradient_norm=True)).fit(module(), data())
    assert values(pages.last).keys() == {"loss", "gradient_norm"}


# The constructor, and where it is called.


@pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="Keras, to compare with, is not installed")
def test_its_constructor_is_that_of_keras_and_one_more_option() -> None:
    program = (
        "import inspect, gangplank, os; os.environ['KERAS_BACKEND'] = 'torch'\n"
        "print(*map(str, inspect.signature(gangplank.TrainTestExporter.__init__).parameters.values()), sep='\\n')"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    ours = [str(parameter) for parameter in inspect.signature(TrainTestExporter.__init__).parameters.values()]
    assert ours == [*said.stdout.splitlines(), "gradient_norm: 'bool' = False"]


@each_package()
def test_a_command_line_takes_it(pl: Any, tmp_path: Any, gateway: Server) -> None:
    package = pl.__name__
    program = tmp_path / "program.py"
    program.write_text(
        f"from {package}.cli import LightningCLI\n"
        f"from {package}.demos.boring_classes import BoringDataModule, BoringModel\n"
        "LightningCLI(BoringModel, BoringDataModule, save_config_callback=None)\n"
    )
    config = tmp_path / "config.yaml"
    config.write_text(
        "trainer:\n  max_epochs: 1\n  logger: false\n  enable_checkpointing: false\n  accelerator: cpu\n"
        "  enable_progress_bar: false\n  limit_train_batches: 2\n  limit_val_batches: 1\n  callbacks:\n"
        "  - class_path: gangplank.lightning.TrainTestExporter\n    init_args:\n"
        f"      pgw_addr: {gateway.address}\n      job: cli\n      histogram_buckets: [-0.1, 0.0, 0.1]\n"
        "      grouping_key: {team: vision}\n      update_freq: batch\n"
    )
    command = [sys.executable, str(program), "fit", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert value(gateway, "gangplank_run_state", job="cli", team="vision", state="finished") == 1
    assert value(gateway, "gangplank_train_model_weights_count", job="cli") == 66


@each_package()
def test_lightnings_own_boring_model_works_unmodified(pl: Any, pages: Pages) -> None:
    from importlib import import_module  # noqa: PLC0415

    boring = import_module(f"{pl.__name__}.demos.boring_classes")
    model, fitter = boring.BoringModel(), trainer(exporter(pages), pl=pl)
    fitter.fit(model, datamodule=boring.BoringDataModule())
    assert (pages.last.epoch, pages.last.state) == (2, "finished")
    fitter.validate(model, datamodule=boring.BoringDataModule(), verbose=False)
    fitter.test(model, datamodule=boring.BoringDataModule(), verbose=False)
    fitter.predict(model, datamodule=boring.BoringDataModule())
    assert [pages.of(phase)[-1].state for phase in ("validate", "test", "predict")] == ["finished"] * 3


def test_without_lightning_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['lightning'] = sys.modules['pytorch_lightning'] = None\n"
        "import gangplank\n"
        "try: import gangplank.lightning\n"
        "except gangplank.MissingExtraError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert 'pip install ".[lightning]"' in said


@pytest.mark.parametrize(
    ("missing", "present"), [("lightning", "pytorch_lightning"), ("pytorch_lightning", "lightning.pytorch")]
)
def test_one_of_the_two_packages_does(missing: str, present: str) -> None:
    program = (
        f"import sys, warnings; warnings.simplefilter('ignore'); sys.modules[{missing!r}] = None\n"
        "from gangplank.lightning import TrainTestExporter\n"
        f"import {present}\n"
        f"assert issubclass(TrainTestExporter, {present}.Callback)\n"
        f"assert not any(base.__module__.startswith('{missing}.') for base in TrainTestExporter.__mro__)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_pickle_has_no_fit_and_trains(pages: Pages, gateway: Server) -> None:
    callback = TrainTestExporter(gateway.address, "digits")
    copies: list[bytes] = []

    def on_train_epoch_end(self: Any) -> None:
        copies.append(pickle.dumps(callback))

    trainer(callback, max_epochs=1).fit(module(on_train_epoch_end=on_train_epoch_end), data())
    other = pickle.loads(copies[0])
    first = next(samples(gateway.metrics(), "gangplank_run_epoch")).labels["run"]
    trainer(other, max_epochs=3).fit(module(), data())
    [sample] = samples(gateway.metrics(), "gangplank_run_epoch")
    assert sample.value == 3
    assert sample.labels["run"] != first


def test_trouble_of_ours_is_logged_and_the_fit_goes_on(
    pages: Pages, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    for place in ("gangplank.lightning.phases.rates_of", "gangplank.lightning.phases.News.of"):
        with monkeypatch.context() as patched:
            patched.setattr(place, broken)
            fitter = trainer(TrainTestExporter("here", "digits", sink=lambda _: pages))
            fitter.fit(module(), data(), data())
            assert fitter.current_epoch == 2
    assert any("ZeroDivisionError" in record.getMessage() for record in caplog.records)
    assert logging.getLogger("gangplank").name in {record.name for record in caplog.records}
