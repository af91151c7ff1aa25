"""Serve the model that train.py saved: predictions at /predict, and metrics for Prometheus at /metrics."""

import os
import sys
import threading
from pathlib import Path
from typing import Annotated

import keras
import numpy as np
from fastapi import FastAPI
from prometheus_client import REGISTRY, CollectorRegistry, make_asgi_app, multiprocess
from pydantic import BaseModel, Field

import gangplank

sys.path.append(str(Path(__file__).parents[1] / "drift"))  # the detectors

import chi_square
import reference

# All that Gangplank needs: the model is wrapped.
model = gangplank.PrometheusModel(
    keras.saving.load_model("digits.keras"),
    name="digits",
    version="1",
    get_drift_metrics_func=chi_square.detector(reference.load("reference.npz")),
)
one_at_a_time = threading.Lock()
app = FastAPI()


class Images(BaseModel):
    """What is sent to /predict: images of 64 pixels, from 0 to 1."""

    images: list[Annotated[list[float], Field(min_length=64, max_length=64)]] = Field(min_length=1)


@app.post("/predict")
def predict(sent: Images) -> dict[str, list[int]]:
    """Return the digit that each image shows."""
    with one_at_a_time:  # FastAPI calls this in several threads, and Keras' predict is for one at a time
        scores = model.predict(np.array(sent.images, "float32"), verbose=0)
    return {"digits": reference.classes(scores).tolist()}


def all_metrics() -> CollectorRegistry:
    """Return the metrics of this process, or of all workers of gunicorn, which keep theirs in files."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return registry


app.mount("/metrics", make_asgi_app(all_metrics()))
