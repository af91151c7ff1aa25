"""`gangplank adapters`: what is announced, and whether it works here; no framework can break the verb."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gangplank.cli import main
from gangplank.cli.installed import adapters
from gangplank.core.plugins import registry
from gangplank.core.types import Adapter
from support.strangers import environment, install

KEYS = ["name", "plugin", "framework", "framework_version", "exporter", "available", "problem"]
ANNOUNCES = """
from gangplank import Adapter, hookimpl
@hookimpl
def gangplank_adapters():
    return [Adapter({name!r}, {framework!r}, {exporter!r}, "pip install it")]
"""


def listed(folder: Path, *arguments: str, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gangplank", "adapters", *arguments]
    done = subprocess.run(
        command, env=environment(folder, **variables), capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == code, done.stderr
    return done


def announced(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *found: Adapter
) -> list[dict[str, object]]:
    """Return what the verb prints of these adapters."""
    monkeypatch.setattr(registry, "adapters", lambda: [("theirs", adapter) for adapter in found])
    assert main(["adapters", "--json"]) == 0
    documents: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    assert all(list(document) == KEYS for document in documents)
    return documents


def test_a_framework_that_is_not_there_has_its_install_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (document,) = announced(capsys, monkeypatch, Adapter("a", "nonesuch.inside", "json:dumps", "pip install nonesuch"))
    assert document == dict(
        zip(KEYS, ["a", "theirs", "nonesuch.inside", "", "json:dumps", False, None], strict=True),
        problem="nonesuch.inside is not installed: pip install nonesuch",
    )
    monkeypatch.setattr(adapters, "_problem", lambda adapter: "no")
    assert main(["adapters"]) == 0
    assert capsys.readouterr().out == "a  not available: no (from the plugin theirs)\n"


@pytest.mark.parametrize(
    ("exporter", "problem"),
    [
        ("json:dumps", ""),
        (
            "json:nonesuch",
            "json:nonesuch cannot be imported: AttributeError: module 'json' has no attribute 'nonesuch'",
        ),
        ("json.nonesuch:x", "json.nonesuch:x cannot be imported: ModuleNotFoundError: No module named 'json.nonesuch'"),
        ("json", "json cannot be imported: AttributeError: "),
        ("", "cannot be imported: ValueError: Empty module name"),
    ],
)
def test_an_exporter_is_imported(
    exporter: str, problem: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (document,) = announced(capsys, monkeypatch, Adapter("a", "json", exporter, "pip install it"))
    assert document["available"] == (not problem)
    assert problem in str(document["problem"])


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("raise ImportError('half\\nof it')", "mess:x cannot be imported: ImportError: half of it"),
        ("raise SystemExit('bye')", "mess:x cannot be imported: SystemExit: bye"),
        ("import os; os._exit(7)", "importing mess:x ended the process (exit code 7)"),
        ("import os; os.abort()", "importing mess:x ended the process (exit code -6)"),
        ("import time; time.sleep(60)", "importing mess:x takes more than 1 s"),
        ("import sys; print('noise'); print('noise', file=sys.stderr); x = 1", ""),
        ("import atexit, time; atexit.register(time.sleep, 60); x = 1", ""),
    ],
)
def test_a_framework_that_breaks_at_import_breaks_nothing(
    source: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mess.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)  # which the process that imports it is told of
    if "sleep(60)" in source:
        monkeypatch.setattr(adapters, "_IMPORT_TIMEOUT", 1)
    (document,) = announced(capsys, monkeypatch, Adapter("a", "mess", "mess:x", "pip install it"))
    assert (document["available"], document["problem"]) == (not problem, problem)
    assert "mess" not in sys.modules


@pytest.mark.parametrize(
    ("module", "version"),
    [("_pytest", pytest.__version__), ("numpy.linalg", np.__version__), ("json", ""), ("", ""), ("no such", "")],
)
def test_the_version_of_a_module_is_its_distributions(module: str, version: str) -> None:
    assert adapters.version_of(module) == version
    assert adapters.is_installed(module) == (module in ("_pytest", "numpy.linalg", "json"))


def test_those_of_plugins_are_listed_by_name(tmp_path: Path) -> None:
    install(tmp_path, "boosts", ANNOUNCES.format(name="boosts", framework="json", exporter="json:dumps"))
    done = listed(tmp_path, PYTHONWARNINGS="error")
    assert [line.split()[0] for line in done.stdout.splitlines()] == sorted(
        line.split()[0] for line in done.stdout.splitlines()
    )
    assert re.search(r"^boosts +available: json, json:dumps \(from the plugin boosts\)$", done.stdout, re.MULTILINE)


def test_two_of_one_name_are_an_error(tmp_path: Path) -> None:
    install(tmp_path, "another", ANNOUNCES.format(name="keras", framework="json", exporter="json:dumps"))
    done = listed(tmp_path, code=1)
    assert done.stdout == ""
    assert done.stderr.startswith("gangplank: two adapters claim the name 'keras': ")
    assert "another" in done.stderr
