"""A peer that needs an environment of its own: the gangplank that was published before this one."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.contest import MissingError
from benchmarks.worker import Worker

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = "0.5.0"


def published() -> Path:
    """Return a folder with only the published gangplank in it, which is installed the first time.

    Raises:
        MissingError: the registry cannot be reached.
    """
    folder = ROOT / ".bench" / f"gangplank-{PUBLISHED}"
    if not (folder / "gangplank").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        (folder.parent / ".gitignore").write_text("*\n")
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
        installed = subprocess.run(  # noqa: S603  ourselves
            [*command, "--target", str(folder), f"gangplank=={PUBLISHED}"], capture_output=True, check=False
        )
        if installed.returncode:
            raise MissingError(f"gangplank {PUBLISHED} could not be installed from the registry")
    return folder


@contextlib.contextmanager
def published_worker(*, one_core: bool = False) -> Iterator[Callable[..., Any]]:
    """Yield a callable that runs a function with the published gangplank, or raises MissingError if there is none."""
    try:
        folder = published()
    except MissingError as missing:
        reason = str(missing)

        def refuse(*_: object, **__: object) -> Any:
            raise MissingError(reason)

        yield refuse
        return
    with Worker(path=folder, one_core=one_core) as worker:
        yield worker.call
