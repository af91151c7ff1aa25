"""What may stand in the place of a file."""

from __future__ import annotations

import os
from pathlib import Path


def _huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**38)  # bytes, of which the disk stores none


#: By the name of each thing: what puts it at a path.
ODD = {
    "a FIFO": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": os.mkdir,
    "a huge file": _huge,
}
