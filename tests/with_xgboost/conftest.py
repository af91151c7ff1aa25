"""Pages that are kept."""

from __future__ import annotations

import pytest

from gangplank.testing import MemorySink


@pytest.fixture
def memory() -> MemorySink:
    return MemorySink()
