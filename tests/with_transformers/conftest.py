"""Pages that are kept, and an exporter to them."""

from __future__ import annotations

import pytest
import transformers

from gangplank.testing import MemorySink
from gangplank.transformers import TrainTestExporter

transformers.utils.logging.set_verbosity_error()


@pytest.fixture
def memory() -> MemorySink:
    return MemorySink()


@pytest.fixture
def exporter(memory: MemorySink) -> TrainTestExporter:
    """Each page is awaited, and what would be logged is raised."""
    return TrainTestExporter("memory", "digits", sink=memory, ignore_exceptions=False, histogram_buckets="auto")
