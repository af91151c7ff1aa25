"""Several real workers of gunicorn, with prometheus_client's files: one page shows what all of them have done."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.reading import eventually, samples
from support.servers import find, free_port, get

HERE = Path(__file__).parent
pytest.importorskip("gunicorn", reason="gunicorn needs POSIX")


@contextlib.contextmanager
def gunicorn(folder: Path, *options: str) -> Iterator[tuple[str, str]]:
    """Serve `serving.app` from two workers; give the address of it, and that of the endpoint in gunicorn's process."""
    files = folder / "values"
    files.mkdir()
    port, metrics_port = free_port(), free_port()
    log = folder / "gunicorn.log"
    environment = {
        **os.environ,
        "PROMETHEUS_MULTIPROC_DIR": str(files),
        "METRICS_PORT": str(metrics_port),
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent), str(HERE.parents[1] / "src")]),
    }
    command = [sys.executable, "-m", "gunicorn", "--workers=2", "--threads=4", f"--bind=127.0.0.1:{port}", *options]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, "--config=python:serving", "serving:app"], env=environment, stdout=output, stderr=output
        )
        try:
            app, endpoint = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics_port}"
            eventually(lambda: answers(app) or server.poll() is not None, timeout=30)
            assert server.poll() is None, log.read_text()
            yield app, endpoint
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(30)
            finally:
                server.kill()


def answers(app: str) -> bool:
    with contextlib.suppress(OSError):
        return bool(get(f"{app}/metrics"))
    return False


def predict(app: str, requests: int) -> Counter[int]:
    """Send requests at the same time; return how many each worker has answered."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return Counter(int(answer) for answer in pool.map(lambda _: get(f"{app}/predict"), range(requests)))


def of_both(app: str) -> tuple[Counter[int], int]:
    """Send requests until two workers have answered; return how many each has."""
    answered: Counter[int] = Counter()

    def more() -> Counter[int]:
        answered.update(predict(app, 20))
        return answered

    eventually(more, lambda workers: len(workers) >= 2, timeout=60)
    return answered, answered.total()


def value(page: str, name: str, **labels: str) -> float:
    """Return the value of the one sample of a name."""
    (sample,) = samples(page, f"gangplank_predict_{name}", model="digits", **labels)
    return float(sample.value)


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["each loads the model", "loaded before the fork"])
def test_one_page_shows_all_workers(tmp_path: Path, options: tuple[str, ...]) -> None:
    with gunicorn(tmp_path, *options) as (app, endpoint):
        answered, requests = of_both(app)
        for url in (f"{app}/metrics", endpoint):
            page = get(url)
            assert value(page, "total") == 8 * requests
            for method in ("predict", "__call__"):
                assert value(page, "latency_seconds_count", method=method) == requests
                assert value(page, "batch_size_sum", method=method) == 4 * requests
            assert value(page, "in_flight") == 0
            assert 0 < time.time() - value(page, "model_loaded_timestamp_seconds") < 300
            assert value(page, "time_seconds_total") > 0
        checked = subprocess.run([find("promtool"), "check", "metrics"], input=page.encode(), timeout=20, check=False)
        assert checked.returncode == 0

        def checks() -> float:
            return sum(
                value(get(endpoint), "drift_checks_total", result=result) for result in ("checked", "failed", "dropped")
            )

        eventually(checks, lambda made: made == requests)
        page = get(endpoint)
        assert value(page, "drift_detected_total") == value(page, "drift_checks_total", result="checked") > 0
        assert {sample.value for sample in samples(page, "gangplank_predict_drift_p_value")} == {0.5}

        # A worker that dies takes no count with it, and another one takes its place.
        victim = answered.most_common(1)[0][0]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: _is_gone(victim))
        more = predict(app, 10)
        assert victim not in more
        assert value(get(endpoint), "total") == 8 * (requests + 10)
        assert value(get(endpoint), "in_flight") == 0


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
