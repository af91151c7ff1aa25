"""What the dashboard of a run shows of a training with Keras."""

from __future__ import annotations

import os
from pathlib import Path

import keras
import pytest

from gangplank import TrainTestExporter
from support.grafana import Look, in_short
from support.keras_fits import Data, fit
from support.servers import Server, prometheus

pytestmark = pytest.mark.skipif(os.environ["KERAS_BACKEND"] != "jax", reason="does not depend on the backend")
# It tells nothing of ranks.
EMPTY = {"Behind the fastest rank", "Forward pass, by rank", "Waiting for data, by rank"}


def test_these_panels_are_empty_and_no_others(gateway: Server, tmp_path: Path, model: keras.Model, data: Data) -> None:
    with prometheus(tmp_path, gateway.address, rules=in_short()) as server:
        look = Look(server, EMPTY)
        exporter = TrainTestExporter(
            gateway.address, "digits", update_freq="batch", push_interval=0.2, histogram_buckets="auto"
        )
        looks = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda *_, **__: look())
        fit(model, data, exporter, looks, epochs=20, validation_data=data)
    assert look.empty == look.expected
