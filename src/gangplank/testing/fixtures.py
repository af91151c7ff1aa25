"""Fixtures for pytest, for any code that pushes metrics.

In a `conftest.py`, or in the test module itself:

    from gangplank.testing.fixtures import gateway  # noqa: F401

    def test_the_nightly_job_pushes_that_it_ran(gateway):
        nightly_job(push_to=gateway.address)
        assert 'job="nightly"' in gateway.metrics()
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gangplank.testing.gateway import Gateway


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """Yield an empty in-memory Pushgateway: `address`, `url`, and `metrics()`, which returns what it holds as text."""
    with Gateway() as made:
        yield made
