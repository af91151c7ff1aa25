"""Pages that are kept."""

from __future__ import annotations

import pytest

from support.lightning_pages import Pages


@pytest.fixture
def pages() -> Pages:
    return Pages()
