"""Metrics of one name that come from different places: both are exported, and the log says once which is which."""

from __future__ import annotations

import re
from typing import Any

import pytest

import gangplank
from gangplank import Run
from gangplank.testing import MemorySink
from support.logged import warnings
from support.reading import eventually


@pytest.fixture
def memory() -> MemorySink:
    return MemorySink()


def training(memory: MemorySink) -> Run:
    return gangplank.run("memory", "a", sink=memory, update_freq="batch", push_interval=0, ignore_exceptions=False)


def values(memory: MemorySink) -> dict[str, float]:
    """Return the metrics of the last page; the digest at the end of a name is written `#`."""
    found = {re.sub("_[0-9a-f]{8}$", "_#", name): metric.value for name, metric in memory.pages[-1].metrics.items()}
    assert len(found) == len(memory.pages[-1].metrics)
    return found


@pytest.mark.parametrize("steps_first", [False, True])
def test_a_metric_and_one_of_steps(memory: MemorySink, steps_first: bool, caplog: pytest.LogCaptureFixture) -> None:
    with training(memory) as run:
        run.start()
        for epoch in range(3):
            for is_step in (steps_first, not steps_first):
                if is_step:
                    run.step({"loss": 0.5})
                else:
                    run.record({"batch_loss": 0.25}, epoch=epoch)
                eventually(lambda: 0.5 in values(memory).values() or 0.25 in values(memory).values())
    first, second = ("of steps", "") if steps_first else ("", "of steps")
    assert values(memory) == {"batch_loss": 0.5 if steps_first else 0.25, "batch_loss_#": 0.25 if steps_first else 0.5}
    (line,) = warnings(caplog)
    pattern = rf"The metric 'batch_loss' ?{second} is exported as gangplank_train_batch_loss_\w{{8}}, because "
    assert re.fullmatch(pattern + rf"gangplank_train_batch_loss is the metric 'batch_loss' ?{first}", line)


@pytest.mark.parametrize("name", ["gradient_norm", "gradient_norm_0", "data_wait"])
def test_a_metric_and_one_that_the_adapter_computes(
    memory: MemorySink, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with training(memory) as run:
        run.start()
        for epoch in range(3):
            run.step({name: 1.0}, prefix="", computed={name: 2.0})
            run.record({name: 0.25}, computed={name: 0.5}, epoch=epoch)
    assert values(memory) == {name: 0.5, f"{name}_#": 0.25}
    assert memory.value("gangplank_run_metric_epoch", metric=name) == 3
    (line,) = warnings(caplog)
    assert re.fullmatch(
        rf"The metric '{name}' is exported as gangplank_train_{name}_\w{{8}}, because gangplank_train_{name} is the "
        rf"metric '{name}' computed by gangplank",
        line,
    )


def test_what_the_adapter_computes_in_a_step_has_no_epoch(memory: MemorySink) -> None:
    with training(memory) as run:
        run.record({"loss": 1.0}, computed={"norm": 0.5}, epoch=0)
        run.step({}, prefix="", computed={"norm": 0.25})
    assert memory.value("gangplank_train_norm") == 0.25
    assert memory.value("gangplank_run_metric_epoch", metric="norm") is None


def test_what_the_adapter_computes_is_exported_if_it_is_wanted() -> None:
    memory = MemorySink()
    with gangplank.run("memory", "a", sink=memory, metrics=["norm"]) as run:
        run.record({"loss": 1.0}, computed={"norm": 0.5, "other": 1.0}, epoch=0)
    assert values(memory) == {"norm": 0.5}


LATER: dict[str, list[Any]] = {
    "in one record": [{"loss": 1.0, "train_loss": 2.0}],
    "in one record, the other way round": [{"train_loss": 2.0, "loss": 1.0}],
    "loss first": [{"loss": 1.0}, {"train_loss": 2.0}],
}


@pytest.mark.parametrize("way", LATER)
def test_loss_and_train_loss(memory: MemorySink, way: str, caplog: pytest.LogCaptureFixture) -> None:
    with training(memory) as run:
        for epoch, metrics in enumerate(LATER[way] * 2):
            run.record(metrics, epoch=epoch)
            eventually(lambda: memory.value("gangplank_train_loss") == 1.0)
    assert values(memory) == {"loss": 1.0, "train_loss": 2.0}
    (line,) = warnings(caplog)
    reason = "gangplank_train_loss is the metric 'loss'"
    assert line == f"The metric 'train_loss' is exported as gangplank_train_train_loss, because {reason}"


def test_a_series_does_not_change_from_train_loss_to_a_later_loss(
    memory: MemorySink, caplog: pytest.LogCaptureFixture
) -> None:
    with training(memory) as run:
        for epoch, metrics in enumerate([{"train_loss": 2.0}, {"loss": 1.0}, {"loss": 1.0, "train_loss": 2.0}]):
            run.record(metrics, epoch=epoch)
            assert memory.value("gangplank_train_loss") == 2.0
    assert values(memory) == {"loss": 2.0, "loss_#": 1.0}
    (line,) = warnings(caplog)
    assert re.fullmatch(
        r"The metric 'loss' is exported as gangplank_train_loss_\w{8}, because gangplank_train_loss is the metric "
        "'train_loss'",
        line,
    )
