"""A tensor that cannot be counted costs no other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gangplank
from gangplank import MetricError
from gangplank.testing import MemorySink
from support.counting import WEIGHTS, assert_costs_no_other
from support.logged import warnings


class Raising:
    """An array that cannot be read."""

    shape = (2,)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("the array has been deleted")


class Spread(Raising):
    """A JAX array of which other processes hold a part."""

    is_fully_addressable = is_fully_replicated = False


ODD = {
    "complex": np.array([1j]),
    "objects": np.array([object()]),
    "texts": np.array(["a", "b"]),
    "a text": "kernel",
    "bytes": b"kernel",
    "dates": np.array(["2026"], "M8[Y]"),
    "nothing": None,
    "not readable": Raising(),
    "spread": Spread(),
}


@pytest.mark.parametrize("per_tensor", [False, True])
@pytest.mark.parametrize("odd", ODD)
def test_the_others_are_counted_and_it_is_named_once(odd: str, per_tensor: bool) -> None:
    (line,) = assert_costs_no_other(ODD[odd], per_tensor)
    assert line.startswith("The weights 'odd' are not counted: ")


@pytest.mark.parametrize("per_tensor", [False, True])
def test_where_none_can_be_counted_there_is_no_histogram(per_tensor: bool, caplog: pytest.LogCaptureFixture) -> None:
    memory = MemorySink()
    with gangplank.run("memory", "a", sink=memory, histogram_buckets=[0.0], per_tensor=per_tensor) as run:
        run.record({"loss": 1}, epoch=0, weights=[np.array([1j]), np.array(["a"])])
    assert memory.value(f"{WEIGHTS}_count") is None
    assert memory.value("gangplank_train_loss") == 1
    assert memory.value("gangplank_run_dropped_metrics_total", reason="weights") == 2
    (line,) = warnings(caplog)
    assert line.count("are not counted") == 2


def test_no_weights_are_a_histogram_of_none() -> None:
    memory = MemorySink()
    with gangplank.run("memory", "a", sink=memory, histogram_buckets=[0.0]) as run:
        run.record(epoch=0, weights=[np.ones(0)])
    assert memory.value(f"{WEIGHTS}_count") == 0


@pytest.mark.parametrize("per_tensor", [False, True])
def test_a_strict_exporter_raises_since_the_histogram_was_asked_for(per_tensor: bool) -> None:
    options: Any = {"histogram_buckets": [0.0], "per_tensor": per_tensor, "ignore_exceptions": False}
    run = gangplank.run("memory", "a", sink=MemorySink(), **options)
    with pytest.raises(MetricError, match=r"the tensor 'odd' cannot be counted: .*complex128"):
        run.record({"loss": 1}, epoch=0, weights={"kernel": np.ones(2), "odd": np.array([1j])})
    run.finish()


def test_tensors_that_come_under_ever_new_names_are_counted_and_remembered_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gangplank.core.recording.recorder._MOST_LOST", 10)
    memory = MemorySink()
    with gangplank.run("memory", "a", sink=memory, histogram_buckets=[0.0]) as run:
        for epoch in range(50):
            run.record(epoch=epoch, weights={f"odd{epoch}": "text"})
        assert len(run._recorder._lost) == 10  # noqa: SLF001
    assert memory.value("gangplank_run_dropped_metrics_total", reason="weights") == 50
