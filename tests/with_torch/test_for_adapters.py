"""`gangplank._torch`: what the adapters for torch share."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gangplank._torch.gradients import gradient_norm
from gangplank._torch.scalars import HostScalars
from gangplank._torch.sharding import Sharding


def test_scalars_become_numbers_with_one_copy_when_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    copies = []
    tolist = torch.Tensor.tolist

    def copied(tensor: Any) -> Any:
        copies.append(len(tensor))
        return tolist(tensor)

    monkeypatch.setattr(torch.Tensor, "tolist", copied)
    scalars = {
        "float32": torch.tensor(0.1),
        "float64": torch.tensor(0.1, dtype=torch.float64),
        "bfloat16": torch.tensor(0.5, dtype=torch.bfloat16),
        "int": torch.tensor(2**40),
        "bool": torch.tensor(True),
        "nan": torch.tensor(float("nan")),
        "with a gradient": torch.tensor(0.25, requires_grad=True),
    }
    others = {"number": 3, "text": "x", "vector": torch.ones(1), "complex": torch.tensor(1j)}
    found = HostScalars({**scalars, **others})
    assert list(found) == [*scalars, *others]
    assert len(found) == len(scalars) + len(others)
    assert copies == []
    numbers = dict(found)
    assert copies == [len(scalars)]
    assert all(numbers[name] is value for name, value in others.items())
    assert numbers.pop("nan") != 0
    assert {name: numbers[name] for name in scalars if name != "nan"} == {
        "float32": scalars["float32"].item(),
        "float64": 0.1,
        "bfloat16": 0.5,
        "int": 2.0**40,
        "bool": 1.0,
        "with a gradient": 0.25,
    }


def parameter(values: list[float], gradient: Any, dtype: Any = torch.float32) -> Any:
    made = torch.nn.Parameter(torch.tensor(values, dtype=dtype))
    made.grad = gradient
    return made


def test_the_gradient_norm_is_that_of_all_parameters_together() -> None:
    # 2.0, in two parts.
    sparse = torch.sparse_coo_tensor(torch.tensor([[0, 0]]), torch.tensor([1.0, 1.0]), (3,), check_invariants=True)
    half = torch.tensor([300.0], dtype=torch.float16)  # its square is too large for float16
    parameters = [
        parameter([0.0, 0.0], torch.tensor([1.0, -4.0])),
        parameter([0.0, 0.0, 0.0], sparse),
        parameter([0.0], half, torch.float16),
        parameter([0.0], None),
    ]
    groups = [{"params": parameters[:1]}, {"params": parameters[1:]}]
    norm = gradient_norm(torch.optim.SGD(groups, lr=0.1), None)
    assert norm is not None
    assert float(norm) == pytest.approx((1 + 16 + 4 + 300**2) ** 0.5)
    assert gradient_norm(torch.optim.SGD([parameter([0.0], None)], lr=0.1), None) is None


class DTensor(torch.nn.Parameter):  # type: ignore[misc]  # mypy does not follow torch
    """A parameter that is spread over processes, by its name."""


def test_a_sharded_model_is_not_read_and_that_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    plain, spread = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    spread.bias = DTensor(torch.zeros(2))
    sharding = Sharding("weights")
    assert sharding.readable(None, by="nothing", sharded=True) is None
    assert sharding.readable(plain, by="nothing", sharded=False) is plain
    assert caplog.messages == []
    assert sharding.readable(spread, by="A mesh", sharded=False) is None
    assert sharding.readable(plain, by="A strategy", sharded=True) is None
    [message] = caplog.messages
    assert message == "A mesh shards the model over processes: weights are not exported"
