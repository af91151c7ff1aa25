"""The served model of examples/predict: trained once for all tests, and real servers for it."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from support.servers import Server, free_port, running

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PREDICT, DRIFT = EXAMPLES / "predict", EXAMPLES / "drift"
# The programs that are installed beside this Python, such as uvicorn.
PROGRAMS = Path(sysconfig.get_path("scripts"))


def run(folder: Path, script: Path, *options: str) -> str:
    """Run a script of the examples in a folder, and return what it printed."""
    command = [sys.executable, str(script), *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def send(server: Server, images: int, *options: str) -> None:
    """Have the client send digits, and check that the answers are right."""
    said = run(server.log.parent, PREDICT / "client.py", "--url", server.url, "--images", str(images), *options)
    found = re.fullmatch(r"Sent (\d+) images; ([\d.]+)% were recognised\.\n", said)
    assert found, said
    assert int(found[1]) == images
    assert float(found[2]) > 90


@contextlib.contextmanager
def uvicorn(folder: Path) -> Iterator[Server]:
    """Serve the model that is saved in a folder, until the block ends."""
    port = free_port()
    command = [str(PROGRAMS / "uvicorn"), "--app-dir", str(PREDICT), "--port", str(port), "serve:app"]
    with running(command, port, folder / f"uvicorn-{port}.log", ready="/metrics", folder=folder) as server:
        yield server


@contextlib.contextmanager
def gunicorn(folder: Path, metrics: Path) -> Iterator[Server]:
    """Serve it with two workers, whose metrics are in files in another folder."""
    port = free_port()
    command = [str(PROGRAMS / "gunicorn"), "--config", str(PREDICT / "gunicorn.conf.py"), "--bind", f"127.0.0.1:{port}"]
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(metrics), "HOME": str(metrics)}  # it has a socket at home
    log = folder / f"gunicorn-{port}.log"
    with running(command, port, log, ready="/metrics", folder=folder, environment=environment) as server:
        yield server
