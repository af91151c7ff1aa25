"""The command itself: its verbs, and how it ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from gangplank import GangplankError
from gangplank.cli import main, plugins
from gangplank.testing.gateway import Gateway
from support.verbs import put, run_page

VERBS = ["adapters", "dashboards", "delete", "demo", "doctor", "gateway", "plugins", "prune", "rules", "show", "watch"]
DOCUMENT = Path(__file__).parents[2] / "docs" / "command-line.md"


def test_the_verbs_are_listed_in_order_with_the_exit_codes() -> None:
    command = [sys.executable, "-m", "gangplank", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^    (\w+) +\w", said, re.MULTILINE) == VERBS
    assert "exit codes: 0 done" in said


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_documented_with_its_options(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    options = set(re.findall(r"^  (--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    text = DOCUMENT.read_text()
    assert f"`{verb}`" in text
    if verb not in ("demo", "gateway"):
        section = text.partition(f"## `gangplank {verb}`")[2].partition("\n## ")[0]
        assert all(option in section for option in options - {"--help"}), options


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [(GangplankError("no"), 1, "gangplank: no\n"), (KeyboardInterrupt(), 130, "gangplank: interrupted\n")],
)
def test_how_it_ends(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_: Namespace) -> int:
        raise error

    monkeypatch.setattr(plugins, "run", fails)
    assert main(["plugins"]) == code
    assert capsys.readouterr().err == said


def test_without_a_verb_it_makes_no_sense(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2


def test_what_an_encoding_lacks_is_replaced() -> None:
    with Gateway() as gateway:
        put(gateway.address, run_page(), job="数字", phase="train")
        done = subprocess.run(
            [sys.executable, "-m", "gangplank", "show", gateway.address],
            env={**os.environ, "PYTHONIOENCODING": "cp1252"},  # as on Windows, to a file
            capture_output=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"job='??'" in done.stdout
