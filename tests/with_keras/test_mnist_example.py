"""examples/mnist, run as the examples' README says, against a real gateway."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.reading import value
from support.servers import Server, free_port, prometheus

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = pytest.mark.skipif(os.environ["KERAS_BACKEND"] != "jax", reason="does not depend on the backend")


def run_example(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the examples' folder, with a home and a Keras of its own and no way to the network."""
    nobody = f"http://127.0.0.1:{free_port()}"
    env = {name: value for name, value in os.environ.items() if name.lower() not in {"no_proxy", "keras_home"}}
    env |= {"KERAS_HOME": str(folder / "keras"), "https_proxy": nobody, "HTTPS_PROXY": nobody}
    env |= {"PYTHONPATH": str(EXAMPLES / "mnist")}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False
    )


def example(folder: Path, script: str, *options: str) -> subprocess.CompletedProcess[str]:
    return run_example(folder, str(EXAMPLES / "mnist" / script), *options)


def went_well(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a script said, which went well; what the frameworks say beside it does not matter."""
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_training_and_testing_reach_the_gateway_and_the_queries_of_the_readme_answer(
    gateway: Server, tmp_path: Path
) -> None:
    options = ("--data", "digits", "--gateway", gateway.address, "--model", str(tmp_path / "digits.keras"))
    train = example(tmp_path, "train.py", "--epochs", "2", *options)
    assert "Saved to" in went_well(train)
    trained = {"job": "mnist", "phase": "train"}
    loss = value(gateway, "gangplank_train_loss", **trained)
    assert loss is not None
    assert 0 < loss < 10
    assert 0.3 < (value(gateway, "gangplank_train_val_accuracy", **trained) or 0) <= 1
    weights = 16 * 9 + 16 + 32 * 16 * 9 + 32 + 10 * (2 * 2 * 32) + 10
    assert value(gateway, "gangplank_train_model_weights_bucket", le="+Inf", **trained) == weights
    assert value(gateway, "gangplank_run_state", state="finished", **trained) == 1

    went_well(example(tmp_path, "test.py", *options))
    tested = {"job": "mnist", "phase": "test"}
    assert 0.3 < (value(gateway, "gangplank_test_accuracy", **tested) or 0) <= 1
    assert value(gateway, "gangplank_run_state", state="finished", **tested) == 1
    assert value(gateway, "gangplank_train_loss", **trained) == loss, "testing leaves the training's metrics alone"

    (block,) = re.findall(r"```promql\n(.*?)```", (EXAMPLES / "README.md").read_text(), re.DOTALL)
    with prometheus(tmp_path, gateway.address) as server:
        for query in block.splitlines():
            assert server.await_query(query), query


# Keras' data cannot be had here: images of its shape and type stand in. One process for all, as Keras starts slowly.
STAND_IN = """
import runpy, sys
import keras
import numpy as np

def images(count):
    return np.zeros((count, 28, 28), np.uint8), np.arange(count, dtype=np.uint8) % 10

keras.datasets.mnist.load_data = lambda: (images(100), images(20))
folder, gateway = sys.argv[1:]
for script, *options in ["test.py"], ["train.py", "--epochs", "1"], ["test.py"], ["test.py", "--data", "digits"]:
    sys.argv[1:] = ["--gateway", gateway, *options]
    try:
        runpy.run_path(f"{folder}/{script}", run_name="__main__")
    except SystemExit as end:
        print(script, *options, "ended with:", end)
    else:
        print(script, *options, "went well")
"""


def test_mnist_fits_the_model_and_wrong_order_or_data_is_told(gateway: Server, tmp_path: Path) -> None:
    said = went_well(run_example(tmp_path, "-c", STAND_IN, str(EXAMPLES / "mnist"), gateway.address))
    assert "test.py ended with: There is no mnist.keras: run train.py first." in said
    assert "train.py --epochs 1 went well" in said
    assert "test.py went well" in said
    assert "test.py --data digits ended with: mnist.keras was trained on other images: give test.py the same" in said
    assert value(gateway, "gangplank_train_loss", job="mnist")
    assert value(gateway, "gangplank_test_loss", job="mnist")


def test_a_failed_download_suggests_the_digits(tmp_path: Path) -> None:
    done = example(tmp_path, "train.py", "--epochs", "1", "--gateway", f"127.0.0.1:{free_port()}")
    assert done.returncode == 1, done
    assert "MNIST could not be downloaded" in done.stderr
    assert done.stderr.endswith("--data digits\n")
    assert "Traceback" not in done.stderr
