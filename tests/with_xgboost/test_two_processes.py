"""Two real processes that train together: who exports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from xgboost.tracker import RabitTracker

from support.reading import samples, value
from support.servers import Server

PROGRAM = Path(__file__).with_name("two_processes.py")


def trained(gateway: Server, **options: Any) -> dict[int, float]:
    """Train in two processes, and return the last evaluation by rank."""
    tracker = RabitTracker(n_workers=2, host_ip="127.0.0.1")
    tracker.start()
    arguments = [gateway.address, json.dumps(tracker.worker_args()), json.dumps(options)]
    command = [sys.executable, str(PROGRAM), *arguments]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROGRAM.parents[1]), os.environ.get("PYTHONPATH", "")])}
    processes = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        said = [json.loads(process.communicate(timeout=60)[0].splitlines()[-1]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    tracker.wait_for(timeout=30)
    return {one["rank"]: one["auc"] for one in said}


def test_rank_0_exports_and_waits_for_no_other(gateway: Server) -> None:
    found = trained(gateway)
    assert found.keys() == {0, 1}
    assert value(gateway, "gangplank_train_eval_auc") == found[0]
    assert value(gateway, "gangplank_run_state", state="finished") == 1


def test_each_rank_exports_if_it_is_asked_to(gateway: Server) -> None:
    found = trained(gateway, per_rank=True)
    for rank, auc in found.items():
        assert value(gateway, "gangplank_train_eval_auc", rank=str(rank)) == auc
    assert len(list(samples(gateway.metrics(), "gangplank_run_state", state="finished"))) == 2
