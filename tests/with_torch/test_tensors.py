"""Torch's tensors and modules as weights: named, and counted the same wherever they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
import torch

from gangplank import HISTOGRAM_WEIGHT_BUCKETS_0_3
from gangplank.core.weights import device
from gangplank.core.weights.arrays import parameters_in
from support.counting import (
    Weights,
    arrays_of,
    assert_counts_alike,
    edges_and_weights,
    names,
    number_counted,
    weights_in_blocks,
)


def test_each_parameter_of_a_module_has_a_name_and_a_tied_one_has_one() -> None:
    tied = torch.nn.Linear(3, 2)
    assert names(torch.nn.Sequential(tied, torch.nn.ReLU(), tied)) == ["0.weight", "0.bias"]


def test_a_module_knows_its_parameters() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    net[0].bias.requires_grad_(False)
    assert parameters_in(net) == (10, 2)


def test_the_trainable_parameters_of_a_module_are_its_weights() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)).bfloat16()
    net[1].weight = torch.nn.Parameter(net[1].weight.detach(), requires_grad=False)
    net.register_parameter("tied", net[0].weight)
    assert [array.shape for array in arrays_of(net)] == [(2, 3), (2,), (2,), (2,), (2,)]
    assert [array.tolist() for array in arrays_of(dict(net.named_parameters()))] != []


def test_tensors_of_each_type_are_read() -> None:
    tensors = [torch.ones(2, requires_grad=True), torch.full((2,), 0.5, dtype=torch.bfloat16), torch.ones(1).half()]
    assert [array.tolist() for array in arrays_of(tensors)] == [[1.0, 1.0], [0.5, 0.5], [1.0]]


def test_what_is_held_twice_counts_once() -> None:
    shared = torch.nn.Linear(4, 4)
    tied = torch.nn.Linear(4, 4)
    tied.weight = shared.weight
    assert number_counted([shared, tied]) == 16 + 4 + 4
    assert number_counted(torch.nn.ModuleList([shared, tied]).state_dict()) == 16 + 4 + 4


# On the accelerator: the same counts as on the host. Its way is taken on the CPU here.

KINDS: dict[str, Callable[[Weights], Any]] = {
    "float32": torch.from_numpy,
    "float64": lambda array: torch.from_numpy(array).double(),
    "bfloat16": lambda array: torch.from_numpy(array).bfloat16(),
    "float16": lambda array: torch.from_numpy(array).half(),
    "transposed": lambda array: torch.from_numpy(array).reshape(1, -1).T,
}


def on_host(tensor: Any) -> npt.NDArray[Any]:
    return np.asarray((tensor if tensor.dtype == torch.float64 else tensor.float()).numpy())


@pytest.mark.parametrize("kind", KINDS)
@hypothesis.settings(max_examples=25)
@hypothesis.given(edges_and_weights())
def test_on_a_device_the_counts_are_the_same(kind: str, drawn: tuple[list[float], Weights]) -> None:
    edges, weights = drawn
    tensor = KINDS[kind](weights)
    assert_counts_alike(tensor, on_host(tensor), edges)


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_on_a_device_blocks_join_without_a_seam(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "BLOCK", 1000)
    tensor = KINDS[kind](weights_in_blocks())
    assert_counts_alike(tensor, on_host(tensor), HISTOGRAM_WEIGHT_BUCKETS_0_3)


def test_what_is_on_a_device_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "gangplank.core.weights.arrays.is_counted_on_device", lambda array: not isinstance(array, np.ndarray)
    )
    held = [torch.nn.Linear(3, 2), {"kernel": torch.ones((2, 2), dtype=torch.bfloat16)}]
    assert all(isinstance(array, torch.Tensor) for array in arrays_of(held))
    assert number_counted(held) == 12


def test_on_the_host_nothing_is_counted_elsewhere() -> None:
    held = [torch.ones(2), np.ones(2), np.ones(2, ml_dtypes.bfloat16)]
    assert all(isinstance(array, np.ndarray) for array in arrays_of(held))
