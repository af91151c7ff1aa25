"""Reading files in whose place anything may stand: nothing is waited for, and no more is read than makes sense."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

# Bytes; our largest pages have less than 1 MiB, and the refs of very large repositories a few.
LARGEST = 16 * 2**20


def read_file(path: str | Path) -> bytes:
    """Return the contents of a regular file.

    Raises:
        OSError: it cannot be read, it is not a regular file, or it is larger than `LARGEST`.
    """
    _check(Path(path).stat())  # opening a FIFO or a device, even for a moment, may disturb others
    with open(path, "rb", opener=_without_waiting) as file:
        _check(os.fstat(file.fileno()))  # another file may be in its place by now
        contents = file.read(LARGEST + 1)
    if len(contents) > LARGEST:  # it grows, or its size is not known beforehand
        raise _too_large()
    return contents


def _check(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    if status.st_size > LARGEST:
        raise _too_large()


def _too_large() -> OSError:
    return OSError(errno.EFBIG, f"it is larger than {LARGEST // 2**20} MiB")


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # Windows has neither it nor FIFOs in folders
