from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import types
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gangplank
from gangplank.core import environment
from gangplank.testing import MemorySink
from support.odd_files import ODD

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
    assert facts(tmp_path / "inside" / "train.py").get("git_commit", "") == commit


def facts(script: Path, before: str = "") -> dict[str, str]:
    """Return what an exporter knows that a script makes, after something has happened to its process."""
    script.write_text(
        textwrap.dedent(before) + "\nimport gangplank, json, gangplank.core.environment as environment\n"
        "gangplank.Exporter('127.0.0.1:9', 'digits')\n"
        "print(json.dumps(environment.known_info()))\n"
    )
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        cwd=script.parent,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    known: dict[str, str] = json.loads(done.stdout)
    return known


@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize(
    "name", [".git", ".git/HEAD", ".git/commondir", ".git/packed-refs", ".git/refs/heads/main", "gitdir/HEAD"]
)
def test_what_is_no_file_of_git_is_not_waited_for(tmp_path: Path, name: str, what: str) -> None:
    for file, text in {
        "HEAD": "ref: refs/heads/main",
        "commondir": ".",
        "packed-refs": "",
        "refs/heads/main": COMMIT,
    }.items():
        path = tmp_path / ".git" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if name == ".git/packed-refs":
        (tmp_path / ".git" / "refs" / "heads" / "main").unlink()
    if name in (".git", "gitdir/HEAD"):
        (tmp_path / ".git").rename(tmp_path / "gitdir")
    if name == "gitdir/HEAD":
        (tmp_path / ".git").write_text("gitdir: gitdir")
    if (tmp_path / name).is_file():
        (tmp_path / name).unlink()
    ODD[what](tmp_path / name)
    assert "git_commit" not in facts(tmp_path / "train.py")


def raising(function: str, error: str) -> str:
    """Return code that makes a function of the standard library raise."""
    module, name = function.split(".")
    return f"""
    import {module} as module
    def refuse(*_, **__): raise {error}
    module.{name} = refuse
    """


@pytest.mark.parametrize(
    ("before", "missing"),
    [
        pytest.param(raising("socket.gethostname", "OSError"), {"host", "pod"}, id="no host name"),
        pytest.param(raising("getpass.getuser", "KeyError"), set(), id="no name of the user"),
        pytest.param(
            raising("getpass.getuser", "RuntimeError") + raising("os.getuid", "OSError"), {"owner"}, id="no user"
        ),
        pytest.param(raising("os.stat", "PermissionError"), {"git_commit"}, id="a folder that must not be read"),
        pytest.param("import os; os.mkdir('x'); os.chdir('x'); os.rmdir('../x')", set(), id="no current folder"),
        pytest.param(
            raising("os.getcwd", "OSError") + "__file__ = 'train.py'", {"git_commit"}, id="a folder that is gone"
        ),
        pytest.param("__file__ = 1", {"git_commit"}, id="a script that is a number"),
        pytest.param("__file__ = '\\0'", {"git_commit"}, id="a script without a path"),
        pytest.param("__file__ = '/nonesuch/train.py'", {"git_commit"}, id="a script that is gone"),
        pytest.param("import sys; sys.modules['__main__'] = None", set(), id="no main module"),
        pytest.param("import os; os.environ.clear()", {"pod", "slurm_job_id"}, id="no environment"),
    ],
)
def test_a_fact_that_is_missing_is_left_out(
    tmp_path: Path, before: str, missing: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text(COMMIT)
    every = facts(tmp_path / "train.py").keys()
    assert len(every) == 7
    assert every - facts(tmp_path / "train.py", before).keys() == missing


def test_the_commit_is_that_of_the_script(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("import gangplank.core.environment as i; print(i.known_info()['git_commit'])")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text(f"{COMMIT}\n")
    done = subprocess.run([sys.executable, str(script)], cwd="/", capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{COMMIT}\n", "")


def test_an_environment_that_is_no_utf_8_and_a_folder_that_is_gone_are_no_problem(tmp_path: Path) -> None:
    program = "import os, gangplank.core.environment as i; os.rmdir(os.getcwd()); print(ascii(i.known_info()['owner']))"
    gone = tmp_path / "gone"
    gone.mkdir()
    variables = {**os.environb, b"USER": b"\xff", b"LOGNAME": b"\xff", b"SLURM_JOB_ID": b"\xff"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=gone, env=variables, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("'?'\n", "")


# The rank

TF_WORKERS = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": %s}}'
TF_CHIEF = '{"cluster": {"worker": ["a:1"], "chief": ["b:1"]}, "task": {"type": "%s", "index": 0}}'


def shown_rank(**variables: str) -> str:
    """Return the `rank` label of a run that starts with these environment variables."""
    with pytest.MonkeyPatch.context() as patch:
        for name, text in variables.items():
            patch.setenv(name, text)
        memory = MemorySink()
        with gangplank.run("memory", "digits", "test", sink=memory, per_rank=True, ignore_exceptions=False) as run:
            run.record({"loss": 0.5})
        if dict(run.group.labels)["rank"] != "0":
            alone = MemorySink()
            with gangplank.run("memory", "digits", "test", sink=alone, ignore_exceptions=False) as run:
                run.record({"loss": 0.5})
            assert not alone.pages, "only rank 0 exports, unless each is to"
    return dict(memory.pages[-1].group.labels)["rank"]


@pytest.mark.parametrize(
    ("variables", "rank"),
    [
        ({}, "0"),
        ({"RANK": "3", "WORLD_SIZE": "4"}, "3"),
        ({"OMPI_COMM_WORLD_RANK": "2"}, "2"),
        ({"PMI_RANK": "2"}, "2"),
        ({"PMIX_RANK": "2"}, "2"),
        ({"HOROVOD_RANK": "2"}, "2"),
        ({"KERAS_DISTRIBUTION_PROCESS_ID": "2"}, "2"),
        ({"MPI_LOCALRANKID": "2", "LOCAL_RANK": "1", "SLURM_LOCALID": "1"}, "0"),  # of the machine
        # Slurm: a step of several tasks; the shell of a job, in which a program may be started directly; a step of one.
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "4"}, "3"),
        ({"SLURM_PROCID": "3"}, "3"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, "0"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "TF_CONFIG": TF_WORKERS % 1}, "1"),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "1"}, "0"),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, "0"),
        # A launcher inside of another: one task a machine starts torchrun, or the daemon of mpirun.
        ({"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2", "RANK": "5"}, "5"),
        ({"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2", "OMPI_COMM_WORLD_RANK": "0"}, "0"),
        ({"TF_CONFIG": TF_WORKERS % 1}, "1"),
        ({"TF_CONFIG": TF_WORKERS % '"1"'}, "1"),
        ({"TF_CONFIG": TF_CHIEF % "worker"}, "1"),
        ({"TF_CONFIG": TF_CHIEF % "chief"}, "0"),
        ({"TF_CONFIG": TF_CHIEF % "evaluator"}, "0"),
        ({"TF_CONFIG": TF_CHIEF % "ps"}, "1"),
        ({"TF_CONFIG": '{"cluster": {}}'}, "0"),
        ({"TPU_WORKER_ID": "3", "TPU_WORKER_HOSTNAMES": "a,b,c,d"}, "3"),
        ({"CLOUD_TPU_TASK_ID": "1", "TPU_PROCESS_ADDRESSES": "a:1,a:2", "TPU_WORKER_ID": "0"}, "1"),
        ({"TPU_WORKER_ID": "3", "TPU_WORKER_HOSTNAMES": "localhost"}, "0"),
        (
            {
                "TPU_WORKER_ID": "1",
                "TPU_WORKER_HOSTNAMES": "a,b",
                "MEGASCALE_NUM_SLICES": "2",
                "MEGASCALE_SLICE_ID": "1",
            },
            "3",
        ),
        # What is malformed is ignored, and the next is asked.
        ({"RANK": "first", "PMI_RANK": "1"}, "1"),
        ({"RANK": "-1", "PMI_RANK": ""}, "0"),
        ({"RANK": "\N{SUPERSCRIPT TWO}", "OMPI_COMM_WORLD_RANK": " 4 "}, "4"),
        ({"RANK": "9" * 5_000, "SLURM_PROCID": "1.0"}, "0"),
        ({"TF_CONFIG": "{no JSON", "SLURM_PROCID": "1"}, "1"),
        ({"TF_CONFIG": "[]", "TPU_WORKER_ID": "1"}, "1"),
        ({"TF_CONFIG": TF_WORKERS % "-1"}, "0"),
    ],
)
def test_the_rank_is_what_the_launcher_set(variables: dict[str, str], rank: str) -> None:
    assert shown_rank(**variables) == rank


NAMES = [
    *("RANK", "KERAS_DISTRIBUTION_PROCESS_ID", "HOROVOD_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"),
    *("TF_CONFIG", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS", "TPU_WORKER_ID", "TPU_WORKER_HOSTNAMES"),
    *("TPU_PROCESS_ADDRESSES", "CLOUD_TPU_TASK_ID", "MEGASCALE_SLICE_ID", "MEGASCALE_NUM_SLICES"),
]
TEXTS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["worker", "chief", "ps"]),
    lambda inner: st.dictionaries(st.sampled_from(["task", "cluster", "type", "index", "worker"]), inner),
).map(json.dumps)


@given(st.dictionaries(st.sampled_from(NAMES), TEXTS | st.integers(-2, 9).map(str) | JSON))
def test_whatever_the_environment_holds_there_is_a_rank(variables: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, text in variables.items():
            patch.setenv(name, text)
        assert environment.rank_of_process() >= 0


def torch(**answers: Any) -> types.SimpleNamespace:
    """Return what `torch.distributed` is to us."""
    return types.SimpleNamespace(**{name: lambda answer=answer: answer for name, answer in answers.items()})


def jax(client: object, process_id: int) -> types.SimpleNamespace:
    return types.SimpleNamespace(global_state=types.SimpleNamespace(client=client, process_id=process_id))


@pytest.mark.parametrize(
    ("modules", "rank"),
    [
        ({"torch.distributed": torch(is_available=True, is_initialized=True, get_rank=2)}, "2"),
        ({"torch.distributed": torch(is_available=True, is_initialized=True, get_rank=0)}, "0"),
        ({"torch.distributed": torch(is_available=True, is_initialized=False)}, "7"),
        ({"torch.distributed": torch(is_available=False)}, "7"),
        ({"torch.distributed": torch()}, "7"),  # another thread imports it
        ({"torch.distributed": None}, "7"),
        ({"jax._src.distributed": jax(object(), 3)}, "3"),
        ({"jax._src.distributed": jax(None, 0)}, "7"),
        ({"jax._src.distributed": torch()}, "7"),
    ],
)
def test_an_initialised_process_group_knows_better(
    modules: dict[str, Any], rank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    assert shown_rank(RANK="7") == rank


def test_what_the_framework_says_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    memory = MemorySink()
    run = gangplank.run("memory", "digits", sink=memory, ignore_exceptions=False)
    run.start(rank=0)
    run.record({"loss": 0.5}, epoch=0)
    run.finish()
    assert memory.value("gangplank_run_state", state="finished") == 1


def test_the_rank_is_read_when_the_run_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = MemorySink()
    exporter = gangplank.Exporter("memory", "digits", sink=memory, per_rank=True, ignore_exceptions=False)
    run = exporter.run("test")
    monkeypatch.setenv("RANK", "1")
    with run:
        monkeypatch.setenv("RANK", "2")
        run.record({"loss": 0.5})
    assert {dict(page.group.labels)["rank"] for page in memory.pages} == {"1"}


def test_knowing_the_rank_imports_nothing() -> None:
    program = (
        "import sys, gangplank.core.environment as e; e.rank_of_process(); print({'torch', 'jax'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
