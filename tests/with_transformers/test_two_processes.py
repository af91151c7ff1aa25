"""Two real processes with gloo, started by torchrun and by accelerate: the first one exports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.reading import samples, value
from support.servers import Server, free_port

HERE = Path(__file__).parent
LAUNCHERS = {
    "torchrun": ["-m", "torch.distributed.run", "--nproc-per-node=2"],
    "accelerate": ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1"],
}


def train(launcher: str, gateway: Server, folder: Path, **options: Any) -> dict[str, Any]:
    """Train in two processes; return what rank 0 has logged and evaluated."""
    plan = json.dumps({"address": gateway.address, "folder": str(folder), "options": options})
    port = f"--{'master-port' if launcher == 'torchrun' else 'main_process_port'}={free_port()}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *LAUNCHERS[launcher], port, str(HERE / "two_processes.py"), plan]
    done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads((folder / "rank0.json").read_text())
    return found


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_rank_0_exports_what_the_trainer_logs_and_no_hook_begins_a_collective(
    gateway: Server, tmp_path: Path, launcher: str
) -> None:
    found = train(launcher, gateway, tmp_path)
    assert value(gateway, "gangplank_train_loss") == found["logged"][-1]["loss"]
    assert value(gateway, "gangplank_validate_loss") == found["evaluated"]["eval_loss"]
    assert value(gateway, "gangplank_run_steps_planned", phase="train") == 10
    assert value(gateway, "gangplank_run_checkpoint_step", phase="train") == 10
    groups = {(sample.labels["phase"], sample.value) for sample in samples(gateway.metrics(), "gangplank_run_info")}
    assert groups == {("train", 1), ("validate", 1)}
    assert value(gateway, "gangplank_run_state", phase="train", state="finished") == 1


def test_with_per_rank_each_process_exports(gateway: Server, tmp_path: Path) -> None:
    train("torchrun", gateway, tmp_path, per_rank=True)
    for rank in ("0", "1"):
        assert value(gateway, "gangplank_run_state", phase="train", state="finished", rank=rank) == 1
        assert value(gateway, "gangplank_run_step", phase="train", rank=rank) == 10
        assert (value(gateway, "gangplank_run_data_wait_seconds_total", phase="train", rank=rank) or 0) > 0
