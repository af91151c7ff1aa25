"""Two processes with a process group, which nothing in the environment tells of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.reading import samples
from support.servers import Server

PROGRAM = Path(__file__).with_name("two_ranks.py")


@pytest.mark.parametrize(
    ("options", "own"),
    [({}, {None: 0.0}), ({"per_rank": True}, {"0": 0.0, "1": 1.0})],
    ids=["rank 0 exports", "per_rank"],
)
def test_spawned_processes_know_their_rank_from_their_process_group(
    gateway: Server, tmp_path: Path, options: dict[str, Any], own: dict[str | None, float]
) -> None:
    command = [sys.executable, str(PROGRAM), gateway.address, str(tmp_path), json.dumps(options)]
    env = {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    text = gateway.metrics()
    shown = list(samples(text, "gangplank_train_own"))
    assert {sample.labels.get("rank"): sample.value for sample in shown} == own
    assert len(shown) == len(own)
    assert [sample.value for sample in samples(text, "gangplank_train_loss")] == [3.0] * len(own)
    assert [sample.value for sample in samples(text, "gangplank_run_state", state="finished")] == [1.0] * len(own)
