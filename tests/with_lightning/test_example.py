"""The example as a newcomer runs it, in one process and in two."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.reading import value
from support.servers import Server

TRAIN = Path(__file__).resolve().parents[2] / "examples" / "lightning" / "train.py"


@pytest.mark.parametrize("devices", ["1", "2"])
def test_it_trains_and_shows_what_the_gateway_holds(gateway: Server, devices: str) -> None:
    options = ["--address", gateway.address, "--devices", devices, "--epochs", "2"]
    env = {**os.environ, "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(TRAIN), *options], env=env, capture_output=True, text=True, timeout=80, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Pushing to the gateway that listens on {gateway.address}." in done.stdout
    assert re.search(r"run_state +finished +finished", done.stdout)
    assert re.search(r"<phase>_accuracy +0\.\d+ +0\.\d+", done.stdout)
    assert done.stdout.count("All 6 numbers in the gateway equal those that Lightning computed.") == 1
    assert (value(gateway, "gangplank_train_val_accuracy", job="digits-lightning") or 0) > 0.3
    assert value(gateway, "gangplank_run_step", job="digits-lightning", phase="train") == (76 if devices == "1" else 38)
