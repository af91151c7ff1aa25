"""What runs, and where: the labels of `gangplank_run_info` that the core knows."""

from __future__ import annotations

import contextlib
import functools
import getpass
import os
import platform
import re
import socket
import sys
from pathlib import Path

from gangplank.core.version import VERSION

# Labels of the info family that the core or an adapter sets; none may be a grouping key, which would overwrite it.
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
    """Return what is known about this process; what is not known is left out. Takes milliseconds, the first time."""
    known = {
        "gangplank_version": VERSION,
        "python_version": platform.python_version(),
        "host": socket.gethostname(),
        "owner": _owner(),
        "git_commit": _git_commit(_script_folder()),
        "slurm_job_id": os.environ.get("SLURM_JOB_ID", ""),
        # In Kubernetes, a pod's name is its host name.
        "pod": socket.gethostname() if "KUBERNETES_SERVICE_HOST" in os.environ else "",
    }
    # The environment may hold bytes that are no UTF-8.
    return {name: value.encode(errors="replace").decode() for name, value in known.items() if value}


def _owner() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container's user without a name, or Windows
        return str(os.getuid()) if hasattr(os, "getuid") else ""


def _script_folder() -> Path:
    """Return the folder of the program that runs, or the current one in a notebook."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    try:
        return Path(path).resolve().parent if path else Path.cwd()
    except OSError:  # a folder that is gone
        return Path("/")


def _git_commit(folder: Path) -> str:
    """Return the commit that is checked out around a folder, read from .git itself: no process is started."""
    for parent in (folder, *folder.parents):
        if (parent / ".git").exists():
            with contextlib.suppress(OSError, ValueError):
                commit = _head(parent / ".git")
                return commit if _COMMIT.fullmatch(commit) else ""
            break
    return ""


def _head(git: Path) -> str:
    if git.is_file():  # a worktree or a submodule
        git = (git.parent / git.read_text().removeprefix("gitdir:").strip()).resolve()
    head = (git / "HEAD").read_text().strip()
    if _COMMIT.fullmatch(head):
        return head
    ref = head.removeprefix("ref:").strip()
    common = git / "commondir"
    shared = (git / common.read_text().strip()).resolve() if common.exists() else git
    if (shared / ref).is_file():
        return (shared / ref).read_text().strip()
    for line in (shared / "packed-refs").read_text().splitlines():
        if line.endswith(f" {ref}"):
            return line.split()[0]
    return ""
