"""The soak of benchmarks/, shortened: fake training while the gateway is killed, frozen, restarted and slowed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from servers import find

SOAK = Path(__file__).resolve().parents[2] / "benchmarks" / "soak.py"


@pytest.mark.timeout(240)
def test_a_minute_of_chaos_hurts_no_training() -> None:
    find("prometheus-pushgateway", "pushgateway")
    soak = subprocess.run(
        [sys.executable, str(SOAK), "--seconds", "60"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
    )
    assert soak.returncode == 0, soak.stdout
