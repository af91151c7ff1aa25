"""Reading what a gateway shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from support.servers import Server

T = TypeVar("T")


def samples(text: str, name: str, **labels: str) -> Iterator[Sample]:
    """Yield the samples of this name that have these labels."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                yield sample


def value(gateway: Server, name: str, **labels: str) -> float | None:
    """Return the value of the one sample that has these labels; None where there is none."""
    found = [sample.value for sample in samples(gateway.metrics(), name, **labels)]
    assert len(found) <= 1, f"{len(found)} samples of {name} {labels}"
    return float(found[0]) if found else None


def eventually(look: Callable[[], T], until: Callable[[T], bool] = bool, timeout: float = 10) -> T:
    """Return what `look` sees, once it is what is waited for."""
    end = time.monotonic() + timeout
    while not until(seen := look()):
        assert time.monotonic() < end, f"still {seen!r}"
        time.sleep(0.01)
    return seen
