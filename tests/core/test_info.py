from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gangplank.core import info

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("files", "commit"),
    [
        ({".git/HEAD": COMMIT}, COMMIT),
        ({".git/HEAD": "ref: refs/heads/main", ".git/refs/heads/main": COMMIT}, COMMIT),
        ({".git/HEAD": "ref: refs/heads/main", ".git/packed-refs": f"# pack\n{COMMIT} refs/heads/main\n"}, COMMIT),
        ({".git": "gitdir: elsewhere", "elsewhere/HEAD": COMMIT}, COMMIT),
        (
            {
                ".git": "gitdir: a/worktree",
                "a/worktree/HEAD": "ref: refs/heads/x",
                "a/worktree/commondir": "..",
                "a/refs/heads/x": COMMIT,
            },
            COMMIT,
        ),
        ({".git/HEAD": "ref: refs/heads/unborn"}, ""),
        ({".git/HEAD": "ref: ../secret", "secret": "TOPSECRET"}, ""),
        ({"x": ""}, ""),
    ],
)
def test_the_commit_is_read_from_git_itself(tmp_path: Path, files: dict[str, str], commit: str) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    (tmp_path / "inside").mkdir()
    assert info._git_commit(tmp_path / "inside") == commit  # noqa: SLF001


def test_the_commit_is_that_of_the_script(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("import gangplank.core.info as i; print(i.known_info()['git_commit'])")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text(f"{COMMIT}\n")
    done = subprocess.run([sys.executable, str(script)], cwd="/", capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{COMMIT}\n", "")


def test_an_environment_that_is_no_utf_8_and_a_folder_that_is_gone_are_no_problem(tmp_path: Path) -> None:
    program = "import os, gangplank.core.info as i; os.rmdir(os.getcwd()); print(ascii(i.known_info()['owner']))"
    gone = tmp_path / "gone"
    gone.mkdir()
    environment = {**os.environb, b"USER": b"\xff", b"LOGNAME": b"\xff", b"SLURM_JOB_ID": b"\xff"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=gone, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("'?'\n", "")
