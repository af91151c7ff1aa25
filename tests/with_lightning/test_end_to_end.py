"""From a Lightning fit to PromQL: a real Pushgateway and Prometheus, and the very values that Lightning computed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gangplank import HISTOGRAM_WEIGHT_BUCKETS_0_3
from gangplank.lightning import TrainTestExporter
from support.lightning_model import WARNINGS, data, module, trainer
from support.reading import eventually
from support.servers import Prometheus, Server, find, prometheus

pytestmark = WARNINGS

FINISHED = 'sum(gangplank_run_state{state="finished"})'

# In a process of its own, as Keras wants its backend to itself.
KERAS = """
import sys
import keras, numpy
import gangplank
x = numpy.random.default_rng(1).normal(size=(40, 4)).astype("float32")
model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
model.compile("sgd", "mse", run_eagerly=True)
exporter = gangplank.TrainTestExporter(sys.argv[1], "keras", histogram_buckets=gangplank.HISTOGRAM_WEIGHT_BUCKETS_0_3)
model.fit(x, x[:, :2], validation_data=(x, x[:, :2]), epochs=2, verbose=0, callbacks=[exporter])
model.evaluate(x, x[:, :2], verbose=0, callbacks=[exporter])
"""

# What a dashboard asks of any run, whatever it was trained with.
QUERIES = [
    "gangplank_train_loss",
    "gangplank_train_val_loss",
    "gangplank_test_loss",
    "gangplank_train_learning_rate",
    'gangplank_train_model_parameters{trainable="true"}',
    "gangplank_train_elapsed_time_seconds",
    "histogram_quantile(0.5, gangplank_train_model_weights_bucket)",
    'gangplank_run_epoch{phase="train"} / gangplank_run_epochs_planned',
    'gangplank_run_step{phase="train"}',
    'gangplank_run_epoch_duration_seconds{phase="train"}',
    'gangplank_run_samples_per_second{phase="train"}',
    'gangplank_run_state{phase="train", state="finished"} == 1',
    'gangplank_run_metric_epoch{phase="train", metric="val_loss"}',
    'time() - gangplank_run_last_update_timestamp_seconds{phase="train"}',
]


def await_finished(server: Prometheus, runs: int) -> None:
    """Wait until Prometheus has so many finished runs."""
    eventually(lambda: server.query(FINISHED), until=lambda found: bool(found) and found[0][1] == runs, timeout=30)


def assert_promtool_accepts(page: str) -> None:
    linted = subprocess.run(
        [find("promtool"), "check", "metrics"], input=page, text=True, capture_output=True, check=False
    )
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")


def test_promql_answers_with_what_lightning_computed(gateway: Server, tmp_path: Path) -> None:
    model = module()
    with prometheus(tmp_path, gateway.address) as server:
        callback = TrainTestExporter(gateway.address, "lightning", histogram_buckets=HISTOGRAM_WEIGHT_BUCKETS_0_3)
        fitter = trainer(callback, max_epochs=3)
        fitter.fit(model, data(), data(24))
        fitted = {name: float(number) for name, number in fitter.callback_metrics.items()}
        [tested] = fitter.test(model, data(16), verbose=False)

        assert_promtool_accepts(gateway.metrics())

        await_finished(server, 2)
        expected = {
            "gangplank_train_loss": fitted["train_loss"],
            "gangplank_train_val_loss": fitted["val_loss"],
            "gangplank_test_loss": tested["test_loss"],
        }
        assert {name: [number for _, number in server.query(f'{name}{{job="lightning"}}')] for name in expected} == {
            name: [number] for name, number in expected.items()
        }
        for query in QUERIES:
            assert {labels["job"] for labels, _ in server.query(query)} == {"lightning"}, query

        weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).double()
        [(_, median)] = server.query('histogram_quantile(0.5, gangplank_train_model_weights_bucket{job="lightning"})')
        assert median == pytest.approx(float(weights.clamp(-0.3, 0.3).quantile(0.5)), abs=0.1)


@pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="Keras, to compare with, is not installed")
def test_the_queries_that_lightning_answers_keras_answers(gateway: Server, tmp_path: Path) -> None:
    with prometheus(tmp_path, gateway.address) as server:
        callback = TrainTestExporter(gateway.address, "lightning", histogram_buckets=HISTOGRAM_WEIGHT_BUCKETS_0_3)
        fitter = trainer(callback)
        fitter.fit(module(), data(), data(24))
        fitter.test(module(), data(16), verbose=False)
        keras = [sys.executable, "-c", KERAS, gateway.address]
        env = {**os.environ, "KERAS_BACKEND": "torch"}
        subprocess.run(keras, env=env, check=True, timeout=80, capture_output=True)
        assert_promtool_accepts(gateway.metrics())
        await_finished(server, 4)
        for query in QUERIES:
            assert {labels["job"] for labels, _ in server.query(query)} == {"keras", "lightning"}, query
