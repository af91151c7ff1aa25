"""A fit on two replicas: what is exported is what Keras says, and weights are counted once, not once a replica."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import pytest

PROGRAM = Path(__file__).parent / "replicas.py"


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="TensorFlow has strategies")
@pytest.mark.parametrize("strategy", ["mirrored", "central"])
def test_what_is_exported_is_what_keras_says(strategy: str) -> None:
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-W", "ignore", str(PROGRAM), strategy]
    ended = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr[-2_000:]
    said: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    assert said["replicas"] == 2
    assert said["step"] == said["durations"] == said["iterations"] == 12
    assert said["exported rate"] == said["rate"]
    assert {name: said["metrics"][name] for name in said["history"]} == said["history"]
    assert said["counted"][:2] == said["weights"][:2]
    assert said["counted"][2] == pytest.approx(said["weights"][2])
    assert said["parameters"] == [11, 0]
    # Central storage counts some samples twice, so they are left out.
    assert said["samples"] == ([42, 42] if strategy == "mirrored" else [None, None])
