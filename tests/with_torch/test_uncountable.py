"""Torch's tensors that cannot be counted cost no other."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import gangplank
from gangplank import MetricError
from gangplank.core.weights.device import count_on_device
from gangplank.testing import MemorySink
from support.counting import WEIGHTS, assert_costs_no_other
from support.reading import eventually


def quiet(make: Callable[[], Any]) -> Callable[[], Any]:
    def made() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some of these are deprecated
            return make()

    return made


ODD: dict[str, Callable[[], Any]] = {
    "lazy": quiet(lambda: torch.nn.LazyLinear(3).weight),
    "meta": lambda: torch.nn.Linear(2, 2, device="meta").weight,
    "complex": lambda: torch.ones(2, dtype=torch.complex64),
    "conjugate": lambda: torch.ones(2, dtype=torch.complex64).conj(),
    "sparse": lambda: torch.eye(2).to_sparse(),
    "sparse by rows": quiet(lambda: torch.eye(2).to_sparse_csr()),
    "quantised": quiet(lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)),
    "nested": quiet(lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])),
}


@pytest.mark.parametrize("per_tensor", [False, True])
@pytest.mark.parametrize("odd", ODD)
def test_the_others_are_counted_and_it_is_named_once(odd: str, per_tensor: bool) -> None:
    (line,) = assert_costs_no_other(ODD[odd](), per_tensor)
    assert line.startswith("The weights 'odd' are not counted: ")


def module_with(odd: torch.nn.Module) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(3, 2), odd)


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_a_lazy_layer_is_counted_once_it_has_seen_data() -> None:
    memory = MemorySink()
    net = module_with(torch.nn.LazyLinear(4))
    with gangplank.run("memory", "a", sink=memory, histogram_buckets=[0.0], per_tensor=True) as run:
        run.record({"loss": 1}, epoch=0, weights=net)
        eventually(lambda: memory.value(f"{WEIGHTS}_count", tensor="0.weight") == 6)
        assert memory.pages[-1].newest.parameters is None
        net(torch.ones(1, 3))
        run.record({"loss": 1}, epoch=1, weights=net)
    assert memory.value("gangplank_train_model_parameters", trainable="true") == 20
    assert memory.value(f"{WEIGHTS}_count", tensor="1.weight") == 8
    assert memory.value("gangplank_run_dropped_metrics_total", reason="weights") == 2


def test_a_module_on_the_meta_device_has_parameters_and_no_weights() -> None:
    memory = MemorySink()
    net = module_with(torch.nn.Linear(2, 2, device="meta"))
    with gangplank.run("memory", "a", sink=memory, histogram_buckets=[0.0]) as run:
        run.record({"loss": 1}, epoch=0, weights=net)
    assert memory.value("gangplank_train_model_parameters", trainable="true") == 14
    assert memory.value(f"{WEIGHTS}_count") == 8


@pytest.mark.parametrize("odd", ["complex", "quantised"])
def test_on_a_device_no_real_part_is_taken_for_the_whole(odd: str) -> None:
    with pytest.raises(MetricError, match="not real numbers"):
        count_on_device(ODD[odd](), [0.0])


def test_a_tensor_that_is_held_twice_is_named_once() -> None:
    sparse = torch.eye(2).to_sparse()
    memory = MemorySink()
    with gangplank.run("memory", "a", sink=memory, histogram_buckets=[0.0]) as run:
        run.record(epoch=0, weights={"a": sparse, "tied": sparse, "kernel": np.ones(3)})
    assert memory.value("gangplank_run_dropped_metrics_total", reason="weights") == 1
    assert memory.value(f"{WEIGHTS}_count") == 3
