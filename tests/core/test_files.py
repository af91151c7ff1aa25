"""Reading a file that is swapped for something else meanwhile, or whose size nobody knows beforehand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gangplank.core import files
from support.odd_files import ODD


@pytest.mark.parametrize("what", ODD)
def test_what_takes_the_place_after_the_first_look_is_not_waited_for(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    regular = tmp_path / "regular"
    regular.write_text("text")
    assert files.read_file(regular) == b"text"
    status = regular.stat()
    ODD[what](tmp_path / "odd")
    monkeypatch.setattr(os, "stat", lambda *_, **__: status)
    with pytest.raises(OSError, match=r"not a regular file|larger than 16 MiB|Is a directory"):
        files.read_file(tmp_path / "odd")


def test_a_file_that_says_it_is_empty_is_read_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = Path("/proc/self/status")
    if not endless.exists():
        pytest.skip("needs /proc")
    assert files.read_file(endless).startswith(b"Name:")
    monkeypatch.setattr(files, "LARGEST", 10)
    with pytest.raises(OSError, match="larger than"):
        files.read_file(endless)
