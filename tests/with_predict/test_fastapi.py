"""examples/predict/serve.py with uvicorn: what clients send at the same time is counted."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from support.reading import eventually, samples, value
from support.servers import Server
from support.serving import send, uvicorn

LABELS = {"model": "digits", "version": "1"}


def post(server: Server, body: Any) -> int:
    """Return the status that a request for predictions gets."""
    request = urllib.request.Request(
        f"{server.url}/predict", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def checks(server: Server) -> dict[str, float]:
    found = samples(server.metrics(), "gangplank_predict_drift_checks_total", **LABELS)
    return {sample.labels["result"]: sample.value for sample in found}


def test_all_that_concurrent_clients_send_is_counted(trained: Path) -> None:
    with uvicorn(trained) as server:
        assert value(server, "gangplank_predict_total", **LABELS) == 0
        assert value(server, "gangplank_predict_drift_detected_total", **LABELS) == 0
        send(server, 1_005, "--batch", "10", "--clients", "8")
        assert value(server, "gangplank_predict_total", **LABELS) == 1_005
        assert value(server, "gangplank_predict_latency_seconds_count", method="predict", **LABELS) == 101
        assert value(server, "gangplank_predict_batch_size_count", method="predict", **LABELS) == 101
        assert value(server, "gangplank_predict_batch_size_sum", method="predict", **LABELS) == 1_005
        assert value(server, "gangplank_predict_batch_size_bucket", method="predict", le="8.0", **LABELS) == 1
        assert value(server, "gangplank_predict_in_flight", **LABELS) == 0
        seconds = value(server, "gangplank_predict_time_seconds_total", **LABELS)
        assert seconds is not None
        assert seconds > 0
        assert value(server, "gangplank_predict_latency_seconds_sum", method="predict", **LABELS) == seconds

        found = eventually(lambda: checks(server), lambda found: sum(found.values()) == 101)
        assert found["failed"] == 0
        assert found["checked"] >= 50, "enough for a test"
        assert value(server, "gangplank_predict_drift_p_value", **LABELS)
        assert value(server, "gangplank_predict_drift_detected_total", **LABELS) == 0


def test_what_is_not_an_image_is_refused_and_not_counted(trained: Path) -> None:
    with uvicorn(trained) as server:
        for images in [], [[0.5] * 63], [["black"] * 64], "black":
            assert post(server, {"images": images}) == 422, images
        assert post(server, {}) == 422
        assert post(server, {"images": [[0.5] * 64]}) == 200
        assert value(server, "gangplank_predict_total", **LABELS) == 1
