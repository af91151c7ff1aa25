"""docs/write-an-adapter.md: its blocks, written to files as they stand there, are an adapter that works."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import gangplank
from gangplank.testing import AdapterContract
from reading import value
from servers import Server
from testing import journey


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    journey.install(journey.written(), tmp_path)
    return tmp_path


def test_every_block_is_a_file_or_a_command() -> None:
    languages = re.findall(r"^```(\w+)$", journey.DOCS.read_text(), re.MULTILINE)
    assert len(journey.written()) == languages.count("python") + languages.count("toml") == 6
    assert set(languages) == {"python", "toml", "sh", "text"}


def test_the_adapter_is_as_short_as_the_page_says(installed: Path) -> None:
    code = ast.unparse(ast.parse((installed / "gangplank_abacus" / "exporter.py").read_text()))
    assert len([line for line in code.splitlines() if line.strip()]) <= 40


def test_the_contract_passes(installed: Path) -> None:
    outcomes, said = journey.contract(installed)
    assert len(outcomes) == 16
    assert set(outcomes.values()) == {"PASSED"}, said


def test_it_is_listed_as_the_page_shows(installed: Path) -> None:
    said = journey.python(installed, "-m", "gangplank", "adapters").stdout
    [line] = [line for line in said.splitlines() if line.startswith("abacus ")]
    assert f"```text\n{re.sub(' +', ' ', line)}\n```" in re.sub(" +", " ", journey.DOCS.read_text())


def test_the_script_exports_what_it_prints(installed: Path, gateway: Server) -> None:
    trained = journey.python(installed, "train.py", gateway.address)
    assert trained.stderr == ""
    assert value(gateway, "gangplank_train_loss") == ast.literal_eval(trained.stdout)["loss"]
    assert value(gateway, "gangplank_run_epoch") == 20
    assert value(gateway, "gangplank_run_state", state="finished") == 1


def test_what_the_page_says_of_a_run_exists() -> None:
    rows = re.findall(r"^\| `(?:run\.(\w+)|Run)\(", journey.DOCS.read_text(), re.MULTILINE)
    assert rows[0] == ""
    assert {"phase", "start", "begin_epoch", "record", "step", "finish", "guard", "close"} == set(rows[1:])
    assert all(callable(getattr(gangplank.Run, name)) for name in rows[1:])
    recorded = re.search(r"`record` also takes (.*?):", journey.DOCS.read_text())
    assert recorded
    keywords = re.findall(r"`(\w+)=`", recorded[1])
    assert set(keywords) < set(inspect.signature(gangplank.Run.record).parameters)
    overridden = re.findall(r"^`(\w+)\(\.\.\.\)` and `(\w+)\(\.\.\.\)` can be", journey.DOCS.read_text(), re.MULTILINE)
    assert all(hasattr(AdapterContract, name) for name in overridden[0])
