"""`gangplank.lightning.TrainTestExporter` in real Lightning runs, in one process: phases and values."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
import torch

import gangplank
from gangplank.lightning import TrainTestExporter
from gangplank.lightning.logged import NewMetrics
from support.lightning_model import WARNINGS, data, each_package, module, trainer
from support.lightning_pages import Pages, exporter, numbers, values
from support.reading import samples, value
from support.servers import Server

pytestmark = WARNINGS


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
    assert "val_ran" not in next(page for page in pages.pages if page.newest.epoch == 2).metrics


def test_the_sanity_check_is_nothing(pages: Pages) -> None:
    trainer(exporter(pages), max_epochs=1, check_val_every_n_epoch=2, num_sanity_val_steps=2).fit(
        module(), data(), data()
    )
    assert values(pages.last).keys() == {"loss"}
    assert {page.phase for page in pages.pages} == {"train"}


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
    assert pages.last.newest.step == 10


def test_a_step_that_is_read_late_says_what_was_logged_up_to_it() -> None:
    logged: dict[str, Any] = {}
    fitter, news = (
        types.SimpleNamespace(_logger_connector=types.SimpleNamespace(_callback_metrics=logged)),
        NewMetrics(),
    )
    logged["rare"] = torch.tensor(1.0)
    news.of_step(fitter)
    logged["loss"] = torch.tensor(2.0)
    late = news.of_step(fitter)
    logged["val_loss"] = torch.tensor(3.0)
    assert news.of(fitter).keys() == {"rare", "loss", "val_loss"}
    assert dict(late) == {"rare": 1.0, "loss": 2.0}
    logged["loss"] = torch.tensor(4.0)
    assert dict(news.of_step(fitter)) == {"loss": 4.0}
    assert dict(news.of_step(fitter)) == {}


def test_no_step_is_exported_by_default(pages: Pages) -> None:
    trainer(exporter(pages, push_interval=0.000001)).fit(module(), data())
    assert all(page.metrics == {} or page.newest.epoch for page in pages.pages)
    times = pages.last.newest.step_times
    assert times is not None
    assert sum(times.counts) == 10
    assert (times.data_wait, times.forward) == (None, None)


def test_the_parts_of_a_step_are_timed_where_ranks_are_compared(pages: Pages) -> None:
    trainer(exporter(pages, per_rank=True)).fit(module(), data(), data())
    times = pages.last.newest.step_times
    assert times is not None
    assert times.data_wait is not None
    assert times.forward is not None
    assert 0 < times.forward < times.seconds
    assert dict(pages.last.group.labels)["rank"] == "0"
