"""The soaks of benchmarks/, shortened: trainings while the gateway is killed, frozen, restarted and slowed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.servers import find

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("script", ["soak.py", "soak_runs.py"])
def test_a_minute_of_chaos_hurts_no_training(script: str) -> None:
    find("prometheus-pushgateway", "pushgateway")
    soak = subprocess.run(
        [sys.executable, str(BENCHMARKS / script), "--seconds", "60"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
    )
    assert soak.returncode == 0, soak.stdout
