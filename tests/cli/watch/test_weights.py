"""The histogram of the weights: tensors are added up, whichever reader shows it."""

from __future__ import annotations

import pytest

import gangplank
from gangplank.cli.remote.weights import bucket_counts
from gangplank.core.errors import GangplankError
from support.servers import Server
from support.verbs import gangplank as command
from support.watched import looked


def test_tensors_are_added_up(gateway: Server, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"histogram_buckets": (-0.1, 0.1), "per_tensor": True, "ignore_exceptions": False}
    with gangplank.run(gateway.address, "digits", **options) as run:  # type: ignore[arg-type]
        run.record({"loss": 0.5}, epoch=0, weights={"a": [-1.0, 0.0], "b": [0.0, 0.0, 2.0]})
    _, view = looked(gateway.address)
    assert [count for _, count in view.weights] == [1, 3, 1]
    assert command("show", gateway.address) == 0
    shown = [line.split()[2] for line in capsys.readouterr().out.splitlines() if line.lstrip().startswith("<=")]
    assert shown == ["1", "3", "1"]


@pytest.mark.parametrize("labels", [{}, {"le": "x"}])
def test_buckets_that_are_none_are_an_error(labels: dict[str, str]) -> None:
    with pytest.raises(GangplankError, match="gangplank_train_model_weights is not shown"):
        bucket_counts("train", [(labels, 1.0)])
