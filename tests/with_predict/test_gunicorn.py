"""The same with gunicorn: each worker counts what it predicts, and whichever is scraped shows the sum."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

from prometheus_client.multiprocess import MultiProcessCollector

from support.reading import eventually, value
from support.serving import PREDICT, PROGRAMS, gunicorn, send

LABELS = {"model": "digits", "version": "1"}


def predicted(metrics: Path) -> dict[int, float]:
    """Return how many samples each worker has predicted, by its number."""
    found = {}
    for file in metrics.glob("counter_*.db"):
        families = MultiProcessCollector.merge([str(file)])  # type: ignore[no-untyped-call]
        (family,) = [family for family in families if family.name in {"gangplank_predict", "gangplank_predict_total"}]
        found[int(re.sub(r"\D", "", file.name))] = sum(
            sample.value for sample in family.samples if sample.name == "gangplank_predict_total"
        )
    return found


def live(metrics: Path) -> set[int]:
    """Return the numbers of the workers that count what they have in flight."""
    return {int(re.sub(r"\D", "", file.name)) for file in metrics.glob("gauge_livesum_*.db")}


def test_the_sum_of_all_workers_is_shown_also_of_those_that_have_ended(trained: Path, tmp_path: Path) -> None:
    with gunicorn(trained, tmp_path) as server:
        sent = 0
        eventually(lambda: live(tmp_path), lambda workers: len(workers) == 2, timeout=60)
        while not (counts := predicted(tmp_path)) or 0 in counts.values():
            sent += 500
            assert sent <= 5_000, f"one worker gets all: {counts}"
            send(server, 500, "--batch", "10", "--clients", "8")
        assert sum(counts.values()) == sent
        for _ in range(4):  # whichever worker answers
            assert value(server, "gangplank_predict_total", **LABELS) == sent
            assert value(server, "gangplank_predict_latency_seconds_count", method="predict", **LABELS) == sent / 10
            assert value(server, "gangplank_predict_batch_size_sum", method="predict", **LABELS) == sent
            assert value(server, "gangplank_predict_in_flight", **LABELS) == 0
        checks = eventually(
            lambda: [
                value(server, "gangplank_predict_drift_checks_total", result=result, **LABELS)
                for result in ("checked", "failed", "dropped")
            ],
            lambda found: sum(count or 0 for count in found) == sent / 10,
        )
        assert checks[1] == 0

        ended, kept = counts
        os.kill(ended, signal.SIGTERM)
        eventually(lambda: live(tmp_path), lambda workers: ended not in workers and len(workers) == 2, timeout=60)
        assert kept in live(tmp_path)
        assert value(server, "gangplank_predict_total", **LABELS) == sent
        send(server, 500)
        assert value(server, "gangplank_predict_total", **LABELS) == sent + 500
        assert value(server, "gangplank_predict_in_flight", **LABELS) == 0


def test_without_a_folder_for_the_metrics_it_says_what_to_do(tmp_path: Path) -> None:
    environment = {name: text for name, text in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    command = [str(PROGRAMS / "gunicorn"), "--config", str(PREDICT / "gunicorn.conf.py")]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Set PROMETHEUS_MULTIPROC_DIR to an empty folder: ")
    assert "Traceback" not in done.stderr
