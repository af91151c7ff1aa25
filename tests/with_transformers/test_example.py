"""The example as a newcomer runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.reading import value
from support.servers import Server

TRAIN = Path(__file__).resolve().parents[2] / "examples" / "transformers" / "train.py"


@pytest.mark.timeout(240)
def test_it_trains_and_shows_what_the_gateway_holds(gateway: Server) -> None:
    env = {**os.environ, "COLUMNS": "100"}
    command = [sys.executable, str(TRAIN), "--address", gateway.address, "--steps", "20"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"run_state +finished +finished +finished", done.stdout)
    assert "numbers in the gateway equal those that the Trainer logged." in done.stdout
    assert value(gateway, "gangplank_run_step", job="topics-transformers", phase="train") == 20
