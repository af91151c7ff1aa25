"""The table of docs/tested.md is made of what the processes of the tests have left."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
from pathlib import Path
from typing import Any

import pytest

from support import tested

ROOT = Path(__file__).resolve().parent.parent


def one(tests: str, python: str, **outcomes: int) -> dict[str, Any]:
    return {
        "tests": tests,
        "date": "2030-01-02",
        "system": "Linux x86_64",
        "python": python,
        "packages": {"numpy": "2.0.0", "keras": "3.5.0"},
        "servers": {"pushgateway": "1.5.1"},
        "outcomes": outcomes,
    }


def test_a_process_leaves_what_it_has_imported(tmp_path: Path) -> None:
    tested.record(tmp_path / "a" / ".venv-core.json", {"passed": 3})
    left = json.loads((tmp_path / "a" / ".venv-core.json").read_text())
    assert (left["tests"], left["python"], left["outcomes"]) == ("core", platform.python_version(), {"passed": 3})
    assert left["packages"] == {name: importlib.metadata.version(name) for name in tested.CORE}


def test_each_is_a_line_by_tests_and_python() -> None:
    table = tested.table(
        [one("core", "3.14.0rc2", passed=2), one("core", "3.9.1", passed=1_000, skipped=1), one("a", "3")]
    )
    assert table.splitlines()[2:] == [
        "| a | 3 | numpy 2.0.0, keras 3.5.0 | pushgateway 1.5.1 | 0 | 0 |",
        "| core | 3.9.1 | numpy 2.0.0, keras 3.5.0 | pushgateway 1.5.1 | 1,000 | 1 |",
        "| core | 3.14.0rc2 | numpy 2.0.0, keras 3.5.0 | pushgateway 1.5.1 | 2 | 0 |",
        "",
        "Linux x86_64, 2030-01-02.",
    ]


@pytest.mark.parametrize("outcome", ["failed", "error"])
def test_what_failed_is_in_no_table(outcome: str) -> None:
    with pytest.raises(ValueError, match="tests have failed: core"):
        tested.table([one("core", "3.11.0", **{outcome: 1})])
    with pytest.raises(ValueError, match="no tests have left a record"):
        tested.table([])


def test_the_page_has_the_lowest_versions_and_each_python() -> None:
    lines = tested.PAGE.read_text().partition(tested.BEGIN)[2].splitlines()
    pins = dict(line.split("==") for line in (ROOT / "constraints-lowest.txt").read_text().splitlines() if "==" in line)
    lowest = ", ".join(f"{name} {pins[name.replace('_', '-')]}" for name in tested.CORE)
    assert any(lowest in line and f"keras {pins['keras']}" in line for line in lines)
    assert any(lowest in line and f"lightning {pins['lightning']}" in line for line in lines)
    for python in ("3.11", "3.12", "3.13"):
        assert any(re.match(rf"\| (python3\.\d+-)?core \| {re.escape(python)}\.", line) for line in lines)
