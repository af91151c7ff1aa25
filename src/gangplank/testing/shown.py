"""What a gateway shows of a run, and which epochs were recorded."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from gangplank import RunInfo, Snapshot, hookimpl
from gangplank.testing.gateway import Gateway

JOB = "contract"
# Seconds to wait for a page: of a run that has ended, and of one that has not.
ARRIVES, ARRIVES_ANYWAY = 5.0, 2.0


class Epochs:
    """A plugin that collects the epochs that the contract's training records, until its run has finished."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.finished = threading.Event()

    @hookimpl
    def gangplank_snapshot(self, run: RunInfo, snapshot: Snapshot) -> None:
        """Collect an epoch."""
        if snapshot.epoch is not None and _is_training(run):
            self.numbers.append(snapshot.epoch)

    @hookimpl
    def gangplank_run_finished(self, run: RunInfo) -> None:
        """Set the event: there are no more epochs."""
        if _is_training(run):
            self.finished.set()


def _is_training(run: RunInfo) -> bool:
    return {("job", JOB), ("phase", "train")} <= set(run.group.labels)


def samples(gateway: Gateway, name: str, phase: str = "train") -> Iterator[Sample]:
    """Yield the samples of the contract's runs of this phase with this name on a gateway."""
    for family in text_string_to_metric_families(gateway.metrics()):
        for sample in family.samples:
            if sample.name == name and sample.labels.get("job") == JOB and sample.labels.get("phase") == phase:
                yield sample


def state(gateway: Gateway, phase: str = "train") -> str | None:
    """Return the state of the run, None if there is none."""
    found = samples(gateway, "gangplank_run_state", phase)
    return next((sample.labels["state"] for sample in found if sample.value), None)


def evaluated(gateway: Gateway) -> list[str]:
    """Return the phases of the evaluations that are shown."""
    return [phase for phase in ("validate", "test") if state(gateway, phase) is not None]


def label(gateway: Gateway, family: str, name: str) -> str | None:
    """Return the value of a label of `gangplank_run_<family>`, None if there is none."""
    return next((sample.labels.get(name) for sample in samples(gateway, f"gangplank_run_{family}")), None)


def position(gateway: Gateway, name: str) -> float | None:
    """Return the value of `gangplank_run_<name>`, None if there is none."""
    return next((float(sample.value) for sample in samples(gateway, f"gangplank_run_{name}")), None)


def metric(gateway: Gateway, name: str, phase: str = "train") -> float | None:
    """Return the value of a metric of this phase, None if there is none."""
    return next((float(sample.value) for sample in samples(gateway, f"gangplank_{phase}_{name}", phase)), None)


def differences(found: Callable[[str], float | None], expected: Mapping[str, float]) -> list[str]:
    """Return a description of each value that is not found exactly."""
    return [
        f"{name} is {found(name)!r} instead of {number!r}"
        for name, number in expected.items()
        if not _same(found(name), number)
    ]


def soon(look: Callable[[], Iterable[str]]) -> list[str]:
    """Call `look` until it reports nothing wrong or the time is up; return its last result."""
    end = time.monotonic() + ARRIVES_ANYWAY
    while (wrong := list(look())) and time.monotonic() < end:
        time.sleep(0.02)
    return wrong


def _same(one: float | None, other: float) -> bool:
    return one == other or (one is not None and math.isnan(one) and math.isnan(other))
