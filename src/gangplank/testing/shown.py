"""What a run shows: on a gateway, and page by page."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from gangplank import Page, RunInfo, Snapshot, hookimpl
from gangplank.testing.gateway import Gateway

JOB = "contract"
# Seconds for what is sent to arrive: of a run that has ended, and of one that nobody ended.
ARRIVES, ARRIVES_ANYWAY = 5.0, 2.0


class Pages:
    """A sink that keeps every page."""

    def __init__(self) -> None:
        self.taken: list[Page] = []

    def __str__(self) -> str:
        return "the contract's pages"

    def send(self, page: Page, _timeout: float) -> None:
        """Keep a page."""
        self.taken.append(page)

    def close(self) -> None:
        """Hold on to what is there."""


class Epochs:
    """A plugin that writes down which epochs the contract's training records."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    @hookimpl
    def gangplank_snapshot(self, run: RunInfo, snapshot: Snapshot) -> None:
        """Write down an epoch."""
        if snapshot.epoch is not None and {("job", JOB), ("phase", "train")} <= set(run.group.labels):
            self.numbers.append(snapshot.epoch)


def samples(gateway: Gateway, name: str) -> Iterator[Sample]:
    """Yield the samples of this name that the contract's training has on a gateway."""
    for family in text_string_to_metric_families(gateway.metrics()):
        for sample in family.samples:
            if sample.name == name and sample.labels.get("job") == JOB and sample.labels.get("phase") == "train":
                yield sample


def state(gateway: Gateway) -> str | None:
    """Return how the run stands."""
    return next((sample.labels["state"] for sample in samples(gateway, "gangplank_run_state") if sample.value), None)


def label(gateway: Gateway, family: str, name: str) -> str | None:
    """Return the value of a label of `gangplank_run_<family>`."""
    return next((sample.labels.get(name) for sample in samples(gateway, f"gangplank_run_{family}")), None)


def metric(gateway: Gateway, name: str) -> float | None:
    """Return the value of a metric of the training."""
    return next((float(sample.value) for sample in samples(gateway, f"gangplank_train_{name}")), None)


def differences(found: Callable[[str], float | None], expected: Mapping[str, float]) -> list[str]:
    """Say which values are not found exactly."""
    return [
        f"{name} is {found(name)!r} instead of {number!r}"
        for name, number in expected.items()
        if not _same(found(name), number)
    ]


def soon(look: Callable[[], Iterable[str]]) -> list[str]:
    """Return what is wrong, as soon as nothing is or the time to arrive is over."""
    end = time.monotonic() + ARRIVES_ANYWAY
    while (wrong := list(look())) and time.monotonic() < end:
        time.sleep(0.02)
    return wrong


def _same(one: float | None, other: float) -> bool:
    return one == other or (one is not None and math.isnan(one) and math.isnan(other))
