"""Which threads are alive, without those that earlier tests have left."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

_earlier: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def without_earlier_threads() -> Iterator[None]:
    """Import this into a test module to leave them out there."""
    _earlier.update(threading.enumerate())
    yield
    _earlier.clear()


def alive(name: str) -> list[threading.Thread]:
    """Return the threads of this name that run."""
    return [
        thread
        for thread in threading.enumerate()
        if thread.name == name and thread.is_alive() and thread not in _earlier
    ]
