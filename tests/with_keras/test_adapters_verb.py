from __future__ import annotations

import json
import re
import subprocess
import sys

import keras


def adapters(*options: str) -> str:
    command = [sys.executable, "-m", "gangplank", "adapters", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")  # whatever the framework prints
    return done.stdout


def test_keras_is_available() -> None:
    (found,) = [one for one in json.loads(adapters("--json")) if one["name"] == "keras"]
    assert found == {
        "name": "keras",
        "plugin": "gangplank",
        "framework": "keras",
        "framework_version": keras.__version__,
        "exporter": "gangplank.keras:TrainTestExporter",
        "available": True,
        "problem": "",
    }
    assert re.search(r"^keras +available: keras 3\S+, gangplank\.keras:TrainTestExporter$", adapters(), re.MULTILINE)
