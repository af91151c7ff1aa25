"""docs/write-an-adapter.md: its blocks, written to files as they stand there, are an adapter that works."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import gangplank
from gangplank.testing import AdapterContract
from support.reading import value
from support.servers import Server
from testing import journey


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    journey.install(journey.written(), tmp_path)
    return tmp_path


def test_every_block_is_a_file_or_a_command() -> None:
    languages = re.findall(r"^```(\w+)$", journey.DOCS.read_text(), re.MULTILINE)
    assert len(journey.written()) == languages.count("python") + languages.count("toml") == 8
    assert set(languages) == {"python", "toml", "sh", "text"}


def test_the_adapter_is_as_short_as_the_page_says(installed: Path) -> None:
    code = ast.unparse(ast.parse((installed / "gangplank_toy_framework" / "exporter.py").read_text()))
    assert len([line for line in code.splitlines() if line.strip()]) <= 60


def test_the_contract_and_the_test_of_its_own_pass(installed: Path) -> None:
    outcomes, said = journey.contract(installed)
    assert len(outcomes) == 23
    assert set(outcomes.values()) == {"PASSED"}, said
    done = journey.python(installed, "-m", "pytest", "-p", "no:cacheprovider", "tests/test_exporter.py")
    assert "1 passed" in done.stdout, done.stdout


def test_it_is_listed_as_the_page_shows(installed: Path) -> None:
    said = journey.python(installed, "-m", "gangplank", "adapters").stdout
    [line] = [line for line in said.splitlines() if line.startswith("toy_framework ")]
    assert f"```text\n{re.sub(' +', ' ', line)}\n```" in re.sub(" +", " ", journey.DOCS.read_text())


def test_the_script_exports_what_it_prints(installed: Path, gateway: Server) -> None:
    trained = journey.python(installed, "train.py", gateway.address)
    assert trained.stderr == ""
    assert value(gateway, "gangplank_train_loss") == ast.literal_eval(trained.stdout)["loss"]
    assert value(gateway, "gangplank_run_epoch") == 20
    assert value(gateway, "gangplank_run_state", state="finished") == 1


def test_what_the_page_says_of_each_call_exists() -> None:
    rows = re.findall(r"^\| .*?`(?:, `self\.close\(\)`)? \|", journey.DOCS.read_text(), re.MULTILINE)
    of_mixin, of_run = (re.findall(rf"\b{name}\.(\w+)", "".join(rows)) for name in ("self", "run"))
    assert set(of_mixin) == {"export_with", "new_run", "finish_run", "calls", "guard", "addresses", "close"}
    assert set(of_run) == {
        *("start", "begin_epoch", "record", "step", "finish"),
        *("checkpoint", "begin_activity", "activity"),
    }
    assert all(hasattr(gangplank.AdapterExporter, name) for name in of_mixin)
    assert all(callable(getattr(gangplank.Run, name)) for name in of_run)
    recorded = re.search(r"`record` also takes (.*?):", journey.DOCS.read_text())
    assert recorded
    keywords = re.findall(r"`(\w+)=`", recorded[1])
    assert set(keywords) < set(inspect.signature(gangplank.Run.record).parameters)
    overridden = re.findall(
        r"^Override `(\w+)\(\.\.\.\)` .*, and `(\w+)\(\.\.\.\)`", journey.DOCS.read_text(), re.MULTILINE
    )
    assert all(hasattr(AdapterContract, name) for name in overridden[0])
    assert all(hasattr(AdapterContract, name) for name in ("train_steps", "evaluate", "train_nothing"))


FEW_HOOKS = """
import contextlib, toy_framework
from gangplank.testing import MemorySink
from gangplank_toy_framework.few_hooks import FewHooksExporter

class Crash(toy_framework.Callback):
    def on_epoch_end(self, trainer, logs):
        1 / (1 - trainer.epoch)

def fit(*callbacks, epochs=3):
    trainer = toy_framework.Trainer(callbacks=callbacks)
    with contextlib.suppress(ZeroDivisionError):
        trainer.fit([(1.0, 2.0)], epochs)
    return trainer

memory = MemorySink()
exporter = FewHooksExporter("memory", "slopes", sink=memory, ignore_exceptions=False)
fit(exporter)
print(memory.pages[-1].state)
kept = fit(exporter, Crash())
run = exporter.calls[kept]
run.end_if_lost()  # as the heartbeat does
print(run.open, run.lost)
with contextlib.suppress(ZeroDivisionError), exporter:
    kept = toy_framework.Trainer(callbacks=[exporter, Crash()])
    kept.fit([(1.0, 2.0)], 3)
print(memory.pages[-1].state)
"""


def test_a_framework_with_few_hooks_ends_its_runs_too(installed: Path) -> None:
    done = journey.python(installed, "-c", FEW_HOOKS)
    assert done.stdout.split() == ["finished", "False", "True", "failed"], done.stderr


DETAILS = """
import toy_framework
from gangplank.testing import MemorySink
from gangplank_toy_framework.exporter import PrometheusExporter

class Validate(toy_framework.Callback):
    def on_epoch_end(self, trainer, logs):
        trainer.evaluate([(1.0, 2.0)])

memory = MemorySink()
exporter = PrometheusExporter("memory", "slopes", sink=memory, ignore_exceptions=False)
trainer = toy_framework.Trainer(callbacks=[exporter, Validate()])
trainer.fit([(1.0, 2.0), (2.0, 4.1)], 3)
print({page.phase for page in memory.pages} == {"train"})
print(memory.value("gangplank_run_activity_seconds_total", activity="validate") > 0)
print(memory.value("gangplank_run_checkpoint_step"), memory.value("gangplank_run_metric_step", metric="step_loss"))
trainer.fit([(1.0, 2.0), (2.0, 4.1)], 5)
print(memory.value("gangplank_run_resumed_from_step"), memory.value("gangplank_run_steps_planned"))
print(trainer.evaluate([(1.0, 2.0)])["loss"] == memory.value("gangplank_test_loss"))
"""


def test_steps_checkpoints_phases_and_activities_are_as_the_page_says(installed: Path) -> None:
    done = journey.python(installed, "-c", DETAILS)
    assert done.stdout.split() == ["True", "True", "6.0", "6.0", "6.0", "10.0", "True"], done.stdout + done.stderr
