"""A registry for each test."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry that nothing is in."""
    return CollectorRegistry()
