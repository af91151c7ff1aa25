"""From a Keras fit to PromQL: a real Pushgateway, a real Prometheus, and the very values that Keras returned."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from gangplank import HISTOGRAM_WEIGHT_BUCKETS_0_3, TrainTestExporter
from support.reading import eventually
from support.seeding import seed
from support.servers import Server, find, prometheus


def test_promql_answers_with_the_values_that_keras_returned(gateway: Server, tmp_path: Path, data: Any) -> None:
    seed(3)
    model = keras.Sequential(
        [
            keras.layers.Input((8,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    with prometheus(tmp_path, gateway.address) as server:
        exporter = TrainTestExporter(gateway.address, "digits", histogram_buckets=HISTOGRAM_WEIGHT_BUCKETS_0_3)
        history = model.fit(*data, validation_data=data, epochs=3, callbacks=[exporter], verbose=0).history
        second = TrainTestExporter(gateway.address, "digits", histogram_buckets=HISTOGRAM_WEIGHT_BUCKETS_0_3)
        evaluated = model.evaluate(*data, callbacks=[second], return_dict=True, verbose=0)

        lint = [find("promtool"), "check", "metrics"]
        linted = subprocess.run(lint, input=gateway.metrics(), text=True, capture_output=True, check=False)
        assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")

        finished = 'sum(gangplank_run_state{job="digits", state="finished"})'
        eventually(lambda: server.query(finished), until=lambda found: bool(found) and found[0][1] == 2, timeout=30)
        for name, values in history.items():
            [(labels, number)] = server.query(f'gangplank_train_{name}{{job="digits"}}')
            assert number == float(values[-1])
            assert labels["phase"] == "train"
        for name, number in evaluated.items():
            assert [found for _, found in server.query(f'gangplank_test_{name}{{job="digits"}}')] == [float(number)]

        weights = np.concatenate([keras.ops.convert_to_numpy(v).ravel() for v in model.trainable_variables])
        for phase in ("train", "test"):
            for quantile in (0.1, 0.25, 0.5, 0.75, 0.9):
                promql = f'histogram_quantile({quantile}, gangplank_{phase}_model_weights_bucket{{job="digits"}})'
                [(_, found)] = server.query(promql)
                true = np.clip(np.quantile(weights, quantile), -0.3, 0.3)
                assert found == pytest.approx(true, abs=0.05), f"{promql}: beyond a bucket"
