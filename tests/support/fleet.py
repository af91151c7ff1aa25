"""Runs of a small fleet, which use all that the core exports: some are running, one has failed."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import gangplank
from gangplank import Run

# A run goes on for a tenth of a second at most between two pushes of its steps.
_STEPS: dict[str, Any] = {"update_freq": "batch", "push_interval": 0.1}
_WEIGHTS = [np.linspace(-1, 1, 50), np.array([math.nan])]


def _trains(run: Run, epoch: int) -> None:
    """Make the epoch of a training, with all that a plain loop can tell."""
    run.begin_epoch()
    for step in range(10 * epoch + 1, 10 * epoch + 11):
        with run.activity("data_wait"):
            pass
        run.step({"loss": 1 / step}, step=step, duration=0.01, data_wait=0.002, forward=0.004)
    with run.activity("validate"):
        numbers = {"loss": 1 / (epoch + 1), "val_loss": 2 / (epoch + 1), "eval_loss": 2 / (epoch + 1)}
    with run.activity("checkpoint"):
        run.checkpoint()
    run.record(
        numbers,
        epoch=epoch,
        step=10 * epoch + 10,
        samples=320,
        learning_rates={"adam": 0.01, "sgd": 0.1},
        parameters=(6, 2),
        weights=_WEIGHTS,
    )


@contextlib.contextmanager
def fleet(address: str, **options: Any) -> Iterator[Callable[[], None]]:
    """Have runs: a training, its evaluation, one of two ranks, one that has failed. Yields what has them go on.

    Args:
        address: of the destination.
        options: of all runs.
    """

    def new(job: str, phase: str = "train", **more: Any) -> Run:
        return gangplank.run(address, job, phase, **{"histogram_buckets": "auto", **_STEPS, **options, **more})

    with contextlib.suppress(ZeroDivisionError), new("broken") as broken:
        for epoch in broken.epochs(3):
            broken.record({"loss": 1 / (epoch - 1)}, weights=_WEIGHTS)
    evaluation = new("digits", "validate", grouping_key={"team": "vision"})
    evaluation.record({"loss": 0.5}, weights=_WEIGHTS)
    evaluation.finish()
    digits = new("digits", grouping_key={"team": "vision"}, info={"dataset": "mnist"})
    ranks = [new("wide", per_rank=True) for _ in range(2)]
    for rank, run in enumerate([digits, *ranks]):
        run.start(epochs=1_000_000, steps=10_000_000, rank=max(rank - 1, 0))
    epochs = iter(range(1_000_000))

    def go_on() -> None:
        epoch = next(epochs)
        for run in (digits, *ranks):
            _trains(run, epoch)

    try:
        yield go_on
    finally:
        for run in (digits, *ranks):
            run.finish()
