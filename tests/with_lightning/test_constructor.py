"""The constructor, where it is called, and what it makes."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import os
import pickle
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import gangplank
from gangplank.lightning import TrainTestExporter
from support.lightning_model import WARNINGS, data, each_package, module, trainer
from support.lightning_pages import Pages, exporter
from support.reading import samples, value
from support.servers import Server
from support.shown import assert_shows_no_password, each_mistake
from support.wrong_options import NO_FLAGS, assert_refused, each_wrong_option

pytestmark = WARNINGS


@pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="Keras, to compare with, is not installed")
def test_its_options_are_those_of_keras_and_one_more() -> None:
    program = (
        "import inspect, gangplank, os; os.environ['KERAS_BACKEND'] = 'torch'\n"
        "print(*map(str, inspect.signature(gangplank.TrainTestExporter.__init__).parameters.values()), sep='\\n')"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    parameters = inspect.signature(TrainTestExporter.__init__).parameters
    ours = sorted(str(parameter) for parameter in parameters.values())
    assert ours == sorted([*said.stdout.splitlines(), "gradient_norm: bool = False"])
    assert list(parameters)[:3] == ["self", "pgw_addr", "job"]
    assert {parameter.kind for parameter in list(parameters.values())[3:]} == {inspect.Parameter.KEYWORD_ONLY}


def test_it_works_where_nothing_is_known_of_the_machine(without_facts: None) -> None:
    TrainTestExporter("127.0.0.1:1", "digits").close()


@each_mistake()
def test_a_mistake_shows_no_password(mistake: dict[str, Any]) -> None:
    assert_shows_no_password(TrainTestExporter, mistake)


@each_wrong_option()
def test_an_option_of_the_wrong_type_is_refused(option: str, wrong: Any) -> None:
    assert_refused(partial(TrainTestExporter, "gateway:9091"), option, wrong)


@pytest.mark.parametrize("wrong", NO_FLAGS)
def test_an_option_of_its_own_of_the_wrong_type_is_refused(wrong: Any) -> None:
    assert_refused(partial(TrainTestExporter, "gateway:9091"), "gradient_norm", wrong)


def test_a_misspelt_option_is_refused() -> None:
    # By mypy as well: it reports an ignore that ignores nothing.
    with pytest.raises(TypeError, match="'push_intervall'"):
        TrainTestExporter("gateway:9091", "digits", push_intervall=1)  # type: ignore[call-arg]


def entries(docstring: str | None) -> dict[str, str]:
    """Return what a docstring says of each argument, on one line."""
    args = inspect.cleandoc(docstring or "").partition("Args:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", args, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def test_help_shows_each_option_with_its_text() -> None:
    neutral, ours = entries(gangplank.Exporter.__doc__), entries(TrainTestExporter.__doc__)
    assert len(gangplank.ExporterOptions.__annotations__) == 17
    assert ours.keys() == {"pgw_addr", "job", "gradient_norm", *gangplank.ExporterOptions.__annotations__}
    for option in gangplank.ExporterOptions.__annotations__:
        assert ours[option] == neutral[option]


def command_line(package: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a LightningCLI."""
    program = folder / "program.py"
    program.write_text(
        f"from {package}.cli import LightningCLI\n"
        f"from {package}.demos.boring_classes import BoringDataModule, BoringModel\n"
        "LightningCLI(BoringModel, BoringDataModule, save_config_callback=None)\n"
    )
    command = [sys.executable, "-W", "ignore", str(program), "fit", *arguments]
    env = {**os.environ, "COLUMNS": "1000"}  # no line of the help is broken
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=folder, env=env)


@each_package()
def test_the_help_of_a_command_line_shows_each_option_with_its_text_and_default(pl: Any, tmp_path: Path) -> None:
    done = command_line(pl.__name__, tmp_path, "--trainer.callbacks.help=gangplank.lightning.TrainTestExporter")
    assert done.returncode == 0, done.stderr
    shown = re.sub(r"\s+", " ", done.stdout)
    parameters = inspect.signature(TrainTestExporter).parameters
    for option, text in entries(TrainTestExporter.__doc__).items():
        default = parameters[option].default
        ends = "required, " if default is inspect.Parameter.empty else ""
        assert f"{text} ({ends}type: " in shown, option
        if not ends:
            described = shown.partition(f"{text} (type: ")[2].partition(f" --trainer.callbacks.{option}")[0]
            assert re.match(rf"[^:]*default: {'null' if default is None else re.escape(str(default))}\)", described), (
                option
            )


@each_package()
def test_a_configuration_shows_each_option_with_its_default(pl: Any, tmp_path: Path) -> None:
    callback = [
        f"--trainer.callbacks{argument}"
        for argument in ("=gangplank.lightning.TrainTestExporter", ".pgw_addr=gateway:9091", ".job=cli")
    ]
    done = command_line(pl.__name__, tmp_path, *callback, "--print_config")
    assert done.returncode == 0, done.stderr
    block = done.stdout.partition("    init_args:\n")[2]
    shown = dict(re.findall(r"^ {6}(\w+): (.*)\n", re.split(r"^ {0,4}\w", block, flags=re.MULTILINE)[0], re.MULTILINE))
    spelt = {None: "null", True: "true", False: "false"}
    parameters = inspect.signature(TrainTestExporter).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items() if name not in ("pgw_addr", "job")}
    assert shown == {"pgw_addr": "gateway:9091", "job": "cli"} | {
        name: spelt[default] if default is None or isinstance(default, bool) else str(default)
        for name, default in defaults.items()
    }
    misspelt = command_line(pl.__name__, tmp_path, *callback, "--trainer.callbacks.push_intervall=1", "--print_config")
    assert misspelt.returncode == 2
    assert "'push_intervall' is not accepted" in misspelt.stderr


@each_package()
def test_a_command_line_takes_it(pl: Any, tmp_path: Path, gateway: Server) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "trainer:\n  max_epochs: 1\n  logger: false\n  enable_checkpointing: false\n  accelerator: cpu\n"
        "  enable_progress_bar: false\n  limit_train_batches: 2\n  limit_val_batches: 1\n  callbacks:\n"
        "  - class_path: gangplank.lightning.TrainTestExporter\n    init_args:\n"
        f"      pgw_addr: {gateway.address}\n      job: cli\n      histogram_buckets: [-0.1, 0.0, 0.1]\n"
        "      grouping_key: {team: vision}\n      update_freq: batch\n"
    )
    done = command_line(pl.__name__, tmp_path, "--config", str(config))
    assert done.returncode == 0, done.stderr
    assert value(gateway, "gangplank_run_state", job="cli", team="vision", state="finished") == 1
    assert value(gateway, "gangplank_train_model_weights_count", job="cli") == 66


@each_package()
def test_lightnings_own_boring_model_works_unmodified(pl: Any, pages: Pages) -> None:
    from importlib import import_module  # noqa: PLC0415

    boring = import_module(f"{pl.__name__}.demos.boring_classes")
    model, fitter = boring.BoringModel(), trainer(exporter(pages), pl=pl)
    fitter.fit(model, datamodule=boring.BoringDataModule())
    assert (pages.last.newest.epoch, pages.last.state) == (2, "finished")
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


def test_a_fault_of_ours_is_logged_and_the_fit_goes_on(
    pages: Pages, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    for place in ("gangplank.lightning.phases.rates_of", "gangplank.lightning.phases.NewMetrics.of"):
        with monkeypatch.context() as patched:
            patched.setattr(place, broken)
            fitter = trainer(TrainTestExporter("here", "digits", sink=pages))
            fitter.fit(module(), data(), data())
            assert fitter.current_epoch == 2
    assert any("ZeroDivisionError" in record.getMessage() for record in caplog.records)
    assert logging.getLogger("gangplank").name in {record.name for record in caplog.records}
