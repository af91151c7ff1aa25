"""A small run of two epochs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

import gangplank
from gangplank import Exporter, Run
from support.reading import eventually
from support.servers import Server

WEIGHTS = [np.array([[-0.5, 0.0], [0.1, np.nan]], np.float32), np.array([np.inf, 0.25])]
EDGES = (-0.3, 0.0, 0.3)


@contextlib.contextmanager
def closing_all() -> Iterator[list[Exporter]]:
    """Close the exporters that a test has put into the list."""
    exporters: list[Exporter] = []
    yield exporters
    for exporter in exporters:
        exporter.abandon()  # a page that is sent after this would open what is closed
        each = exporter._destinations._each  # noqa: SLF001
        eventually(lambda each=each: not any(one.outbox._worker.alive for one in each))  # type: ignore[misc]  # noqa: SLF001
        exporter.close()


def trained(gateway: Server, **options: Any) -> Exporter:
    """Return the exporter of a run that has finished after two epochs."""
    exporter = gangplank.Exporter(gateway.address, "digits", **{"histogram_buckets": EDGES, **options})
    finish_two_epochs(exporter.run())
    return exporter


def finish_two_epochs(run: Run) -> None:
    """Record two epochs in a run that has not started, and finish it."""
    run.start(epochs=2)
    for epoch in range(2):
        run.begin_epoch()
        run.record(
            {"loss": 0.5 - epoch / 8, "accuracy": np.float32(0.1)},
            epoch=epoch,
            step=(epoch + 1) * 10,
            samples=320,
            learning_rates={"": 0.01},
            parameters=(6, 2),
            weights=WEIGHTS,
        )
    run.finish()
