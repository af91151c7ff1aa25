"""What a training loop of one's own may write of exporters and runs, and what type checkers refuse.

`make lint` checks the files of this folder with mypy and pyright; nothing runs them. A line that must be refused ends
with `# type: ignore[...]`: it is an error if a type checker has nothing to ignore there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_type

import numpy as np
import numpy.typing as npt

import gangplank
from gangplank import Destination, Exporter, ExporterOptions, Group, Run


def exporters() -> None:
    exporter = Exporter(
        "127.0.0.1:9091",
        "digits",
        metrics=["loss"],
        histogram_buckets=gangplank.HISTOGRAM_WEIGHT_BUCKETS_0_3,
        histogram_freq=2,
        per_tensor=True,
        update_freq="batch",
        grouping_key={"team": "vision", "gpu": 0},
        run=None,
        info={"data": "v3"},
        ignore_exceptions=False,
        push_interval=1,
    )
    assert_type(exporter.run(), Run)
    assert_type(exporter.run("test"), Run)
    assert_type(exporter.addresses, tuple[str, ...])
    exporter.close()

    Exporter("127.0.0.1:9091")  # type: ignore[call-arg]
    Exporter("127.0.0.1:9091", "digits", ["loss"])  # type: ignore[call-arg]
    Exporter("127.0.0.1:9091", "digits", histogram_frequency=2)  # type: ignore[call-arg]
    Exporter("127.0.0.1:9091", "digits", push_interval="1")  # type: ignore[arg-type]
    Exporter(9091, "digits")  # type: ignore[arg-type]
    exporter.phase("test")  # type: ignore[attr-defined]


def destinations() -> None:
    backup = Destination("https://backup.example", push_interval=60.0, credentials=lambda: ("me", "secret"))
    Exporter(backup, "digits")
    Exporter(["127.0.0.1:9091", backup], "digits")
    assert_type(str(backup), str)

    Destination()  # type: ignore[call-arg]
    Destination("127.0.0.1:9091", interval=60.0)  # type: ignore[call-arg]
    Exporter([backup, 9091], "digits")  # type: ignore[list-item]
    backup.timeout = 1.0  # type: ignore[misc]


def runs(weights: Iterator[npt.NDArray[np.float32]]) -> None:
    with gangplank.run("127.0.0.1:9091", "digits", "train", update_freq=10) as run:
        assert_type(run, Run)
        for epoch in run.epochs(20, first=5):
            assert_type(epoch, int)
            run.step({"loss": np.float32(0.5)}, step=3, duration=0.1)
            run.record(
                {"loss": 0.5, "accuracy": np.float64(0.9)},
                epoch=epoch,
                step=100,
                samples=1_000,
                learning_rates={"adam": 0.001},
                parameters=(10, 2),
                weights=weights,
            )
    run = gangplank.run("127.0.0.1:9091", "digits")
    run.start(epochs=20, epoch=5, alive=lambda: True, rank=0)
    run.record({"loss": 0.5}, learning_rates=0.001)
    run.finish(ValueError("diverged"))
    assert_type(run.phase, str)
    assert_type(run.name, str | None)
    assert_type(run.group, Group)
    with run.guard("reading the model"):
        run.begin_epoch()

    gangplank.run("127.0.0.1:9091")  # type: ignore[call-arg]
    gangplank.run("127.0.0.1:9091", "digits", histogram_frequency=2)  # type: ignore[call-arg]
    gangplank.run("127.0.0.1:9091", "digits", timeout="5")  # type: ignore[arg-type]
    Run("127.0.0.1:9091", "digits")  # type: ignore[call-arg, arg-type]
    run.record(0.5)  # type: ignore[arg-type]
    run.record({"loss": 0.5}, 3)  # type: ignore[call-arg]
    run.record({"loss": 0.5}, epoch="3")  # type: ignore[arg-type]
    run.record({"loss": 0.5}, parameters=(10, 2, 1))  # type: ignore[arg-type]
    run.step({"loss": 0.5}, seconds=0.1)  # type: ignore[call-arg]
    run.start(alive=True)  # type: ignore[arg-type]
    run.finish("failed")  # type: ignore[arg-type]
    run.phase("test")  # type: ignore[operator]
    run.group = Group(())  # type: ignore[misc]


def options() -> None:
    some: ExporterOptions = {"timeout": 1.0, "metrics": None}
    Exporter("127.0.0.1:9091", "digits", **some)
    gangplank.run("127.0.0.1:9091", "digits", **some)

    misspelt: ExporterOptions = {"time_out": 1.0}  # type: ignore[typeddict-unknown-key]
    wrong: ExporterOptions = {"timeout": "1"}  # type: ignore[typeddict-item]
    Exporter("127.0.0.1:9091", "digits", **misspelt, **wrong)  # type: ignore[misc]
