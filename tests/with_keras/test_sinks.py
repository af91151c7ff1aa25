"""The Keras exporter with each kind of address: fit, evaluate, fit."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import gangplank
from support.reading import samples
from support.servers import Server, free_port, get


@pytest.fixture
def addresses(request: pytest.FixtureRequest, gateway: Server, tmp_path: Path) -> list[str]:
    """The addresses that the test is of."""
    known = {
        "gateway": f"http://{gateway.address}",
        "file": f"file://{tmp_path}/digits.prom",
        "scrape": f"scrape://127.0.0.1:{free_port()}",
    }
    return [known[kind] for kind in request.param.split("+")]


def page(address: str) -> str:
    """Return what a destination shows."""
    scheme, _, rest = address.partition("://")
    return Path(rest).read_text() if scheme == "file" else get(f"http://{rest}/metrics")


@pytest.mark.parametrize("addresses", ["gateway", "file", "scrape", "gateway+file+scrape"], indirect=True)
def test_all_phases_are_shown_with_what_keras_returned(addresses: list[str]) -> None:
    exporter = gangplank.TrainTestExporter(
        addresses if len(addresses) > 1 else addresses[0], "digits", histogram_buckets=[-0.5, 0.5]
    )
    random = np.random.default_rng(1)
    data = random.normal(size=(32, 4)), random.normal(size=(32, 1))
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(*data, epochs=1, callbacks=[exporter], verbose=0)
    evaluated = model.evaluate(*data, callbacks=[exporter], verbose=0)
    history = model.fit(*data, epochs=2, callbacks=[exporter], verbose=0).history
    shown = [page(address) for address in addresses]
    exporter.close()
    for text in shown:
        assert [sample.value for sample in samples(text, "gangplank_train_loss")] == [history["loss"][-1]]
        assert [sample.value for sample in samples(text, "gangplank_test_loss")] == [evaluated]
        assert [sample.value for sample in samples(text, "gangplank_run_epoch", phase="train")] == [2]
        (total,) = samples(text, "gangplank_train_model_weights_sum")
        weights = np.concatenate([keras.ops.convert_to_numpy(one).ravel() for one in model.trainable_variables])
        assert total.value == pytest.approx(weights.sum(dtype=np.float64))
        states = samples(text, "gangplank_run_state", state="finished")
        assert sorted((sample.labels["phase"], sample.value) for sample in states) == [("test", 1), ("train", 1)]
