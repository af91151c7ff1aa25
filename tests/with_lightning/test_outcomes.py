"""How the runs of Lightning's trainings end, and where they go on."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from gangplank.lightning import TrainTestExporter
from support.lightning_model import PL, WARNINGS, data, each_package, module, trainer, trusted
from support.reading import eventually, value
from support.servers import Server, free_port

pytestmark = WARNINGS

TESTS = Path(__file__).resolve().parent.parent


def state(gateway: Server, phase: str = "train") -> str:
    found = [
        state
        for state in ("running", "finished", "failed", "interrupted")
        if value(gateway, "gangplank_run_state", phase=phase, state=state)
    ]
    assert len(found) == 1
    return found[0]


def raising(error: BaseException, *, in_epoch: int | None = None) -> Any:
    def hook(self: Any, *_: Any) -> None:
        if in_epoch is None or self.current_epoch == in_epoch:
            raise error

    return hook


class OwnError(Exception):
    """The user's."""


@each_package()
@pytest.mark.parametrize(
    "hook", ["on_train_epoch_start", "on_train_batch_start", "on_validation_start", "on_train_epoch_end"]
)
def test_an_exception_is_the_users_and_leaves_failed(gateway: Server, pl: Any, hook: str) -> None:
    error = OwnError("of the user's")
    callback = TrainTestExporter(gateway.address, "digits")
    model = module(pl, **{hook: raising(error, in_epoch=1)})
    with pytest.raises(OwnError) as raised:
        trainer(callback, pl=pl, num_sanity_val_steps=0, max_epochs=3).fit(model, data(), data())
    assert raised.value is error
    assert state(gateway) == "failed"
    assert value(gateway, "gangplank_run_epoch") == 1
    assert value(gateway, "gangplank_train_loss") is not None


@pytest.mark.parametrize("hook", ["on_train_end", "on_fit_end"])
def test_finished_is_only_what_came_to_its_end(gateway: Server, hook: str) -> None:
    class Raises(PL.Callback):  # type: ignore[misc, name-defined]
        """Stands in front of ours."""

    setattr(Raises, hook, raising(OwnError()))
    with pytest.raises(OwnError):
        trainer(Raises(), TrainTestExporter(gateway.address, "digits"), max_epochs=1).fit(module(), data())
    assert state(gateway) == "failed"


@pytest.mark.parametrize("phase", ["validate", "test", "predict"])
def test_an_evaluation_that_fails_is_no_success(gateway: Server, phase: str) -> None:
    callback = TrainTestExporter(gateway.address, "digits")
    steps = {name: raising(OwnError()) for name in ("validation_step", "test_step", "predict_step")}
    fitter = trainer(callback)
    with pytest.raises(OwnError):
        getattr(fitter, phase)(module(**steps), data())
    assert state(gateway, phase) == "failed"
    getattr(fitter, phase)(module(), data())
    assert state(gateway, phase) == "finished"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_an_interruption_is_no_failure(gateway: Server, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # Lightning ignores further Ctrl-C for good
    with pytest.raises(SystemExit):
        trainer(TrainTestExporter(gateway.address, "digits")).fit(
            module(on_train_epoch_end=raising(error, in_epoch=1)), data()
        )
    assert state(gateway) == "interrupted"


def test_with_no_gateway_the_users_exception_is_still_the_users() -> None:
    error = OwnError()
    callback = TrainTestExporter(f"127.0.0.1:{free_port()}", "digits", flush_timeout=0.1)
    with pytest.raises(OwnError) as raised:
        trainer(callback).fit(module(on_train_epoch_end=raising(error, in_epoch=1)), data())
    assert raised.value is error


def test_an_exception_replaces_none_where_ours_are_raised(gateway: Server) -> None:
    error = OwnError()

    class Raises(PL.Callback):  # type: ignore[misc, name-defined]
        """Stands in front of ours, which has an epoch to record by then."""

        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            if trainer.current_epoch == 1:
                gateway.stop()
                raise error

    callback = TrainTestExporter(gateway.address, "digits", ignore_exceptions=False, timeout=0.5, flush_timeout=0.1)
    with pytest.raises(OwnError) as raised:
        trainer(Raises(), callback).fit(module(), data())
    assert raised.value is error


def test_the_run_that_another_callbacks_exception_hides_from_us_ends_with_the_next(gateway: Server) -> None:
    class Raises(PL.Callback):  # type: ignore[misc, name-defined]
        """Its own hook for exceptions raises, so that ours is never called."""

        on_exception = raising(OwnError())

    callback = TrainTestExporter(gateway.address, "digits", concurrent=True)
    with pytest.raises(OwnError):
        trainer(Raises(), callback).fit(module(on_train_epoch_end=raising(ValueError())), data())
    assert value(gateway, "gangplank_run_state", state="running") == 1
    trainer(callback).fit(module(), data())
    assert value(gateway, "gangplank_run_state", state="failed", run=_first_run(gateway)) == 1


def _first_run(gateway: Server) -> str:
    runs = {line.partition('run="')[2].partition('"')[0] for line in gateway.metrics().splitlines() if "run=" in line}
    return min(runs)


def test_early_stopping_is_an_end_like_any_other(gateway: Server) -> None:
    stops = PL.callbacks.EarlyStopping("val_loss", patience=0, min_delta=1e9)
    trainer(stops, TrainTestExporter(gateway.address, "digits"), max_epochs=9).fit(module(), data(), data())
    assert state(gateway) == "finished"
    assert value(gateway, "gangplank_run_epoch") == 2
    assert value(gateway, "gangplank_run_epochs_planned") == 9
    assert value(gateway, "gangplank_run_metric_epoch", metric="val_loss") == 2


def test_the_end_of_max_time_is_one_too(gateway: Server) -> None:
    callback = TrainTestExporter(gateway.address, "digits")
    fitter = trainer(callback, max_epochs=-1, max_time={"seconds": 0.2})
    fitter.fit(module(), data())
    assert state(gateway) == "finished"
    assert value(gateway, "gangplank_run_epoch") == fitter.current_epoch
    assert value(gateway, "gangplank_run_step") == fitter.global_step
    assert value(gateway, "gangplank_run_epochs_planned") is None
    assert value(gateway, "gangplank_train_loss") == float(fitter.callback_metrics["train_loss"])


def test_max_steps_may_end_an_epoch(gateway: Server) -> None:
    fitter = trainer(TrainTestExporter(gateway.address, "digits"), max_epochs=-1, max_steps=7)
    fitter.fit(module(), data(), data())
    assert (state(gateway), value(gateway, "gangplank_run_step")) == ("finished", 7)
    assert value(gateway, "gangplank_train_loss") == float(fitter.callback_metrics["train_loss"])


def test_fit_again_goes_on_and_with_nothing_left_erases_nothing(gateway: Server) -> None:
    callback, model = TrainTestExporter(gateway.address, "digits"), module()
    fitter = trainer(callback, max_epochs=2)
    fitter.fit(model, data())
    before = {line for line in gateway.metrics().splitlines() if line.startswith("gangplank_")}
    fitter.fit(model, data())
    assert {line for line in gateway.metrics().splitlines() if line.startswith("gangplank_")} == before
    fitter.fit_loop.max_epochs = 3
    fitter.fit(model, data())
    assert (value(gateway, "gangplank_run_epoch"), value(gateway, "gangplank_run_step")) == (3, 15)
    assert value(gateway, "gangplank_run_metric_epoch", metric="loss") == 3
    assert state(gateway) == "finished"


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended")
@pytest.mark.parametrize(("every_n_train_steps", "epochs"), [(None, 2), (3, 1)])
def test_a_resumed_run_goes_on_where_it_was(
    gateway: Server, tmp_path: Path, every_n_train_steps: int | None, epochs: int
) -> None:
    saves = PL.callbacks.ModelCheckpoint(
        tmp_path / "saved", save_top_k=-1, every_n_train_steps=every_n_train_steps, filename="{epoch}-{step}"
    )
    trainer(saves, enable_checkpointing=True, max_epochs=2).fit(module(), data(), data())
    newest = max((tmp_path / "saved").iterdir(), key=lambda path: int(path.stem.partition("step=")[2]))
    started: list[float | None] = []

    class Watches(PL.Callback):  # type: ignore[misc, name-defined]
        """Stands behind ours."""

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            eventually(lambda: value(gateway, "gangplank_run_state", state="running"))
            started.append(value(gateway, "gangplank_run_epoch"))

    fitter = trainer(TrainTestExporter(gateway.address, "digits"), Watches(), max_epochs=4)
    fitter.fit(module(), data(), data(), ckpt_path=newest, **trusted(fitter))
    assert started == [epochs]
    assert (value(gateway, "gangplank_run_epoch"), value(gateway, "gangplank_run_step")) == (4, fitter.global_step)
    assert value(gateway, "gangplank_run_metric_epoch", metric="loss") == 4


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 1)])
def test_a_signal_leaves_interrupted(gateway: Server, tmp_path: Path, number: int, code: int) -> None:
    ready = tmp_path / "ready"
    program = f"""
        import sys, time, pathlib
        sys.path.insert(0, {str(TESTS)!r})
        from support.lightning_model import data, module, trainer
        from gangplank.lightning import TrainTestExporter
        def on_train_batch_end(self, *_):
            pathlib.Path({str(ready)!r}).touch()
            time.sleep(0.02)
        exporter = TrainTestExporter({gateway.address!r}, "digits")
        trainer(exporter, max_epochs=1000).fit(module(on_train_batch_end=on_train_batch_end), data())
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            eventually(ready.exists, timeout=60)
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == code, said
    assert state(gateway) == "interrupted"
