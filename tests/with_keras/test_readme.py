"""The README's code, as it stands there, against a real gateway."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import gangplank
from support.reading import value
from support.servers import Server

README = (Path(__file__).parents[2] / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_readmes_code_runs(gateway: Server, monkeypatch: pytest.MonkeyPatch, example: str) -> None:
    random = np.random.default_rng(1)
    images = (random.integers(0, 256, (320, 28, 28), np.uint8), random.integers(0, 10, 320))
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: (images, images))  # which would be downloaded
    names: dict[str, Any] = {}
    exec(example.replace("127.0.0.1:9091", gateway.address), names)  # noqa: S102
    assert value(gateway, "gangplank_run_state", phase="train", state="finished") == 1
    assert value(gateway, "gangplank_train_model_weights_count")
    assert (value(gateway, "gangplank_test_loss") is not None) == ("evaluate" in example)


def test_the_readme_names_every_family(gateway: Server, model: keras.Model, data: Any) -> None:
    assert len(EXAMPLES) == 2
    exporter = gangplank.TrainTestExporter(gateway.address, "digits", histogram_buckets=[0.0])
    model.fit(*data, callbacks=[exporter], verbose=0)
    families = set(re.findall(r"# TYPE gangplank_(\w+)", gateway.metrics()))
    shown = {name.strip("_.") for name in re.findall(r"`(?:gangplank)?_([\w<>]+)", README.partition("| family |")[2])}
    for family in families - {"train_loss", "train_accuracy"}:
        named = {family, family.removeprefix("run_"), family.replace("train_", "<phase>_")}
        short = {name.removesuffix("_timestamp_seconds") for name in named}
        assert (named | short) & shown, family
