"""Facts about this process: where it runs, its rank, whether exporting is disabled."""

from __future__ import annotations

import contextlib
import functools
import getpass
import json
import os
import platform
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from gangplank.core.files import read_file
from gangplank.core.version import VERSION

# Labels of the info family that the core or an adapter sets; a grouping key of that name would overwrite them.
INFO_LABELS = (
    "framework",
    "framework_version",
    "backend",
    "gangplank_version",
    "python_version",
    "host",
    "owner",
    "git_commit",
    "slurm_job_id",
    "pod",
)
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@functools.cache
def known_info() -> dict[str, str]:
    """Return the known facts about this process, without those that are unknown. The first call takes milliseconds."""
    known = {}
    for name, fact in _FACTS.items():
        with contextlib.suppress(Exception):  # whatever is missing or broken on this machine: the fact is left out
            # The environment may hold bytes that are not valid UTF-8.
            known[name] = fact().encode(errors="replace").decode()
    return {name: value for name, value in known.items() if value}


def _owner() -> str:
    try:
        return getpass.getuser()
    except Exception:  # noqa: BLE001  a container's user without a name, or Windows
        return str(os.getuid()) if hasattr(os, "getuid") else ""


def _pod() -> str:
    """Return the name of the pod: in Kubernetes, its host name."""
    return socket.gethostname() if "KUBERNETES_SERVICE_HOST" in os.environ else ""


def _script_folder() -> Path:
    """Return the folder of the script, or the current folder in a notebook."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(path).resolve().parent if path else Path.cwd()


def _git_commit(folder: Path) -> str:
    """Return the commit that is checked out in a folder, read from .git without starting a process."""
    for parent in (folder, *folder.parents):
        if (parent / ".git").exists():
            commit = _head(parent / ".git")
            return commit if _COMMIT.fullmatch(commit) else ""
    return ""


def _head(git: Path) -> str:
    if git.is_file():  # a worktree or a submodule
        git = (git.parent / _text(git).removeprefix("gitdir:").strip()).resolve()
    head = _text(git / "HEAD").strip()
    if _COMMIT.fullmatch(head):
        return head
    ref = head.removeprefix("ref:").strip()
    common = git / "commondir"
    shared = (git / _text(common).strip()).resolve() if common.exists() else git
    if (shared / ref).is_file():
        return _text(shared / ref).strip()
    before, found, _ = _text(shared / "packed-refs").partition(f" {ref}\n")
    return before.rpartition("\n")[2] if found else ""


def _text(path: Path) -> str:
    return read_file(path).decode()


_FACTS: dict[str, Callable[[], str]] = {
    "gangplank_version": lambda: VERSION,
    "python_version": platform.python_version,
    "host": socket.gethostname,
    "owner": _owner,
    "git_commit": lambda: _git_commit(_script_folder()),
    "slurm_job_id": lambda: os.environ.get("SLURM_JOB_ID", ""),
    "pod": _pod,
}


def rank_of_process() -> int:
    """Return the rank of this process among those that train together; 0 if nothing says that there are others.

    The first that knows it counts: the process group of torch or of JAX, if it is initialised, then the variables of
    launchers: those of the process itself, before those of what it may run inside of, such as a step of Slurm. A value
    that is malformed is ignored.
    """
    for known in (_rank_in_torch, _rank_in_jax, _rank_of_variables, _rank_in_tf_config, _rank_in_slurm, _rank_on_tpus):
        with contextlib.suppress(Exception):  # a framework that is being imported, or JSON that is not what is expected
            rank = known()
            if rank is not None and rank >= 0:
                return rank
    return 0


def _rank_in_torch() -> int | None:
    torch = sys.modules.get("torch.distributed")
    return int(torch.get_rank()) if torch and torch.is_available() and torch.is_initialized() else None


def _rank_in_jax() -> int | None:
    """Return the rank in the cluster that JAX has joined; `jax.process_index()` would initialise its devices."""
    jax = sys.modules.get("jax._src.distributed")
    return int(jax.global_state.process_id) if jax and jax.global_state.client is not None else None


def _rank_of_variables() -> int | None:
    return _first_number(
        "RANK",  # torchrun
        "KERAS_DISTRIBUTION_PROCESS_ID",
        "HOROVOD_RANK",
        "OMPI_COMM_WORLD_RANK",
        "PMIX_RANK",
        "PMI_RANK",
    )


def _rank_in_tf_config() -> int | None:
    """Return the rank of the task in TensorFlow's variable: the chief's is 0, the workers' follow."""
    config = json.loads(os.environ.get("TF_CONFIG") or "{}")
    task = config.get("task")
    if task is None:
        return None
    if task.get("type", "worker") != "worker":
        return 0 if task["type"] in ("chief", "master", "evaluator") else 1
    return int(task.get("index", 0)) + bool({"chief", "master"} & config.get("cluster", {}).keys())


def _rank_in_slurm() -> int | None:
    """Return the rank in a step of several tasks (`srun`); in the shell of a job, it is 0."""
    tasks = _first_number("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS")
    return None if tasks == 1 else _first_number("SLURM_PROCID")


def _rank_on_tpus() -> int | None:
    """Return the rank among several workers, on all slices of TPUs."""
    workers = os.environ.get("TPU_PROCESS_ADDRESSES") or os.environ.get("TPU_WORKER_HOSTNAMES") or ""
    slices, worker = _first_number("MEGASCALE_NUM_SLICES"), _first_number("CLOUD_TPU_TASK_ID", "TPU_WORKER_ID")
    if worker is None or (workers and "," not in workers and slices in (None, 1)):
        return None
    return (_first_number("MEGASCALE_SLICE_ID") or 0) * (workers.count(",") + 1) + worker


def _first_number(*names: str) -> int | None:
    """Return the first of these environment variables that is a whole number, None if none is."""
    values = (os.environ.get(name, "").strip() for name in names)
    return next((int(value) for value in values if re.fullmatch("[0-9]{1,9}", value)), None)


def disabled() -> bool:
    """Return whether `GANGPLANK_DISABLED` disables every exporter."""
    return os.environ.get("GANGPLANK_DISABLED", "").lower() not in ("", "0", "false")
