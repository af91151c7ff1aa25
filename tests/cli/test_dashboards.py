"""`gangplank dashboards`: the files that it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gangplank.cli import main
from gangplank.monitoring import dashboards


def test_it_writes_the_dashboards_and_prints_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "folder"
    assert main(["dashboards", "--out", str(folder)]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert {path.name: json.loads(path.read_text()) for path in paths} == dashboards()
    assert sorted(paths) == sorted(folder.iterdir())


def test_by_default_it_writes_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["dashboards"]) == 0
    assert main(["dashboards"]) == 0  # again, over the first ones
    assert capsys.readouterr().out == "gangplank-fleet.json\ngangplank-run.json\n" * 2


def test_a_folder_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["dashboards", "--out", str(tmp_path / "file")]) == 1
    assert "File exists" in capsys.readouterr().err
