"""`gangplank plugins`: every installed plugin, whether it is used, and why not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.strangers import environment, install

WATCHES = """
from gangplank import hookimpl
@hookimpl
def gangplank_snapshot(run, snapshot): pass
@hookimpl
def gangplank_run_finished(run): pass
"""
MISSPELT = WATCHES.replace("gangplank_snapshot(run, snapshot)", "gangplank_snapshots(run)")


def listed(folder: Path, *arguments: str, code: int, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gangplank", "plugins", *arguments]
    done = subprocess.run(
        command, env=environment(folder, **variables), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


def test_none() -> None:
    done = listed(Path("/nonesuch"), code=0)
    assert (done.stdout, done.stderr) == ("No plugins are installed.\n", "")
    assert json.loads(listed(Path("/nonesuch"), "--json", code=0).stdout) == []


def test_each_is_listed_with_its_hooks_or_its_trouble(tmp_path: Path) -> None:
    install(tmp_path, "watcher", WATCHES, plugin="chat", version="2.5")
    install(tmp_path, "broken_one", "raise ImportError('no\\nsuch library')")
    install(tmp_path, "misspelt", MISSPELT)
    install(tmp_path, "idle", "")
    install(tmp_path, "off", "raise SystemExit")
    done = listed(tmp_path, code=1, GANGPLANK_DISABLE_PLUGINS="off")
    assert done.stderr == ""  # what is wrong stands in the list, once
    assert done.stdout.splitlines() == [
        "broken_one  broken: ImportError: no such library (broken_one 1.0, broken_one)",
        "chat        loaded: run_finished, snapshot (watcher 2.5, watcher)",
        "idle        loaded: implements no hook (idle 1.0, idle)",
        (
            "misspelt    loaded: run_finished; unknown hook 'gangplank_snapshots' in plugin "
            f"<module 'misspelt' from '{tmp_path}/misspelt.py'> (misspelt 1.0, misspelt)"
        ),
        "off         switched off by GANGPLANK_DISABLE_PLUGINS (off 1.0, off)",
    ]


def test_as_json(tmp_path: Path) -> None:
    install(tmp_path, "watcher", WATCHES, plugin="chat", version="2.5")
    install(tmp_path, "off", "")
    done = listed(tmp_path, "--json", code=0, GANGPLANK_PLUGINS="chat")
    chat, off = json.loads(done.stdout)
    assert chat == {
        "name": "chat",
        "source": "watcher 2.5",
        "module": "watcher",
        "state": "loaded",
        "switched_off_by": None,
        "problem": "",
        "hooks": ["gangplank_run_finished", "gangplank_snapshot"],
    }
    assert (off["state"], off["switched_off_by"], off["problem"]) == ("switched off", "GANGPLANK_PLUGINS", "")


@pytest.mark.parametrize("source", ["raise ImportError('no such library')", MISSPELT])
def test_one_that_is_switched_off_is_no_trouble(source: str, tmp_path: Path) -> None:
    install(tmp_path, "bad", source)
    listed(tmp_path, code=1)
    for off in ({"GANGPLANK_DISABLE_PLUGINS": "bad"}, {"GANGPLANK_DISABLE_PLUGINS": "all"}, {"GANGPLANK_PLUGINS": ""}):
        listed(tmp_path, code=0, **off)


def test_a_name_that_is_not_installed_is_said(tmp_path: Path) -> None:
    done = listed(tmp_path, code=0, GANGPLANK_PLUGINS="other")
    assert done.stderr == "gangplank: GANGPLANK_PLUGINS names other, but no such plugin is installed\n"


def test_two_of_one_name_are_an_error_that_names_both_and_the_cure(tmp_path: Path) -> None:
    for name in ("one", "two"):
        install(tmp_path, name, WATCHES, plugin="same")
    done = listed(tmp_path, code=1)
    assert done.stdout == ""
    assert "'same'" in done.stderr
    assert "one 1.0" in done.stderr
    assert "two 1.0" in done.stderr
    listed(tmp_path, code=0, GANGPLANK_DISABLE_PLUGINS="same")
