"""The main job as a newcomer runs it: `gangplank demo`, in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from support.reading import eventually
from support.servers import Server, free_port, get

# One backend is enough for what is the same on each.
once = pytest.mark.skipif(os.environ["KERAS_BACKEND"] != "jax", reason="does not depend on the backend")


def demo(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gangplank", "demo", "--epochs", "1", *options]
    settings = {**os.environ, "COLUMNS": "100", **environment}
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=240, check=False)


def test_it_trains_and_shows_what_the_gateway_holds(gateway: Server) -> None:
    done = demo("--address", f"me:canary@{gateway.address}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "canary" not in done.stdout + done.stderr
    assert f"Pushing to the gateway that listens on {gateway.address}." in done.stdout
    assert f"with Keras on {os.environ['KERAS_BACKEND']}" in done.stdout
    assert "val_accuracy: 0." in done.stdout
    assert re.search(r"run_state +finished +finished", done.stdout)
    assert re.search(r"<phase>_accuracy +0\.\d+ +0\.\d+", done.stdout)
    assert re.search(r"<= 0 +[\d,]+ +█+", done.stdout)
    assert f"curl http://{gateway.address}/metrics" in done.stdout
    assert done.stdout.endswith("All 6 numbers in the gateway equal those that Keras returned.\n")
    assert 'gangplank_train_loss{instance="",job="digits",phase="train"' in gateway.metrics()


@once
def test_where_no_gateway_listens_it_brings_its_own_and_takes_it_away() -> None:
    address = f"127.0.0.1:{free_port()}"
    done = demo("--address", address)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"No gateway listens on {address}" in done.stdout
    with pytest.raises(OSError, match="refused"):
        get(f"http://{address}/metrics")


@once
def test_it_leaves_its_gateway_up_when_asked() -> None:
    address = f"127.0.0.1:{free_port()}"
    done = demo("--address", address, "--keep")
    [process] = re.findall(r"to stop it: kill (\d+)", done.stdout)
    try:
        assert "gangplank_test_loss{" in get(f"http://{address}/metrics")
    finally:
        os.kill(int(process), signal.SIGTERM)


@once
def test_numbers_that_differ_are_a_failure() -> None:
    # With the exporter off, the gateway holds nothing.
    done = demo("--address", f"127.0.0.1:{free_port()}", GANGPLANK_DISABLED="1")
    assert done.returncode == 1
    assert "DIFFERENT: gangplank_train_loss is None" in done.stderr


@once
def test_what_is_no_gateway_is_not_pushed_to() -> None:
    port = free_port()
    server = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", os.devnull, str(port)]
    with subprocess.Popen(server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as other:
        try:
            eventually(lambda: _answers(port))
            done = demo("--address", f"127.0.0.1:{port}")
        finally:
            other.terminate()
    assert done.returncode == 1
    assert f"gangplank: 127.0.0.1:{port} answered 404: " in done.stderr


def _answers(port: int) -> bool:
    try:
        get(f"http://127.0.0.1:{port}/")
    except OSError as error:
        return "404" in str(error)
    return True


@pytest.mark.parametrize(
    ("missing", "what"), [("sklearn", "sklearn"), (os.environ["KERAS_BACKEND"], "the backend {backend}")]
)
def test_what_is_not_installed_is_named(missing: str, what: str) -> None:
    program = (
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name, *_: None if name == {missing!r} else find(name)\n"
        "from gangplank.cli import main\n"
        "sys.exit(main(['demo']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    backend = os.environ["KERAS_BACKEND"]
    assert done.returncode == 1
    assert f"the demo needs {what.format(backend=backend)}: " in done.stderr
    assert f'pip install ".[{backend},demo]"' in done.stderr
