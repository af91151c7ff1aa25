"""What gunicorn runs in the tests of several workers: an application with a model, and its configuration."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from gangplank import Drift, PrometheusModel, instrument
from support.predicted import Model

X = np.ones((4, 2))

model = PrometheusModel(Model(), CollectorRegistry(), None, lambda _x, _y: Drift(1, 0.5), name="digits")
# In a registry of its own: its values are in the same files.
same = instrument(Model(), registry=CollectorRegistry(), name="digits")


def app(environ: Any, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Predict four samples twice, and answer with the process; or show the metrics of all processes."""
    if environ["PATH_INFO"] == "/metrics":
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        shown: Iterable[bytes] = make_wsgi_app(registry)(environ, start_response)
        return shown
    model.predict(X)
    same(X)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


def when_ready(_server: Any) -> None:
    """In gunicorn's own process: serve the metrics of all processes at another port."""
    PrometheusModel(Model(), port=int(os.environ["METRICS_PORT"]), host="127.0.0.1", name="digits")


def child_exit(_server: Any, worker: Any) -> None:
    """In gunicorn's own process: a worker has ended."""
    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
