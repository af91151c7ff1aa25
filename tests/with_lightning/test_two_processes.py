"""Two real processes with DistributedDataParallel: who exports, what hangs, what a straggler looks like."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.reading import eventually, samples, value
from support.servers import Server, prometheus

DOCS = Path(__file__).resolve().parents[2] / "docs" / "lightning.md"
PROGRAM = Path(__file__).with_name("two_processes.py")
STATES = ("running", "finished", "failed", "interrupted")


class Training:
    """The program under way."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.folder = folder

    def events(self, rank: int, event: str) -> list[dict[str, Any]]:
        """Return what a rank has noted of this."""
        path = self.folder / f"rank{rank}.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [noted for noted in map(json.loads, lines) if noted["event"] == event]

    def await_event(self, rank: int, event: str) -> dict[str, Any]:
        return eventually(lambda: self.events(rank, event), timeout=60)[0]

    def ended(self) -> str:
        """Wait for the end, and return what was said on the way."""
        with (self.folder / "said").open() as said:
            self.process.wait(timeout=60)
            return said.read()


@contextlib.contextmanager
def training(
    folder: Path, gateway: Server, *, environment: dict[str, str] | None = None, **plan: Any
) -> Iterator[Training]:
    """Run the program, and end it with all that it has started."""
    scene = folder / "scene.json"
    scene.write_text(json.dumps({"address": gateway.address, **plan}))
    env = {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1", **(environment or {})}
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        env.pop(name, None)
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(scene)], stdout=said, stderr=said, env=env, start_new_session=True
        )
        try:
            yield Training(process, folder)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def state(gateway: Server, **labels: str) -> str:
    [found] = [state for state in STATES if value(gateway, "gangplank_run_state", phase="train", state=state, **labels)]
    return found


def test_rank_0_exports_what_was_reduced_and_no_hook_begins_a_collective(gateway: Server, tmp_path: Path) -> None:
    options = {"histogram_buckets": [0.0], "update_freq": "batch", "push_interval": 0.001, "gradient_norm": True}
    with training(tmp_path, gateway, tests=True, epochs=3, options=options) as run:
        said = run.ended()
    assert run.process.returncode == 0, said
    assert [run.events(rank, "collective") for rank in (0, 1)] == [[], []]
    fitted = [run.events(rank, "fit returned")[0]["metrics"] for rank in (0, 1)]
    [tested] = (event["metrics"] for event in run.events(0, "test returned"))
    assert fitted[0] == fitted[1], "both have reduced them"
    for name in ("loss", "loss_step", "loss_epoch"):
        assert value(gateway, f"gangplank_train_{name}") == fitted[0][f"train_{name}"]
    assert value(gateway, "gangplank_train_val_loss") == fitted[0]["val_loss"]
    assert value(gateway, "gangplank_train_late") == fitted[0]["late"] == 0.5
    assert value(gateway, "gangplank_test_loss") == tested["test_loss"]
    assert {sample.labels["phase"] for sample in samples(gateway.metrics(), "gangplank_run_state")} == {"train", "test"}
    assert value(gateway, "gangplank_run_step", phase="train") == 24
    assert state(gateway) == "finished"


@pytest.mark.parametrize("trouble", ["hung", "refusing"])
def test_a_gateway_in_trouble_holds_up_neither_rank(gateway: Server, tmp_path: Path, trouble: str) -> None:
    with training(tmp_path, gateway, tests=True, epochs=4, step=0.005, options={"histogram_buckets": [0.0]}) as run:
        run.await_event(1, "begun")
        gateway.freeze() if trouble == "hung" else gateway.stop()
        said = run.ended()
    assert run.process.returncode == 0, said
    # All that the exporter can add to the other rank: what this one spends in its hooks.
    assert run.events(0, "ended")[0]["in_hooks"] < 0.05
    [fitted], [test] = run.events(1, "fitted"), run.events(1, "test")
    assert test["time"] - fitted["time"] < 1.0, "a wait for the last page would be two seconds"


@pytest.mark.parametrize("where", ["loader", "compute"])
def test_a_straggler_shows_in_the_parts_of_its_steps(gateway: Server, tmp_path: Path, where: str) -> None:
    plan: dict[str, Any] = {"slow": where, "seconds": 0.06, "epochs": 5, "validates": False}
    options = {"per_rank": True, "push_interval": 0.2}
    with training(tmp_path, gateway, options=options, **plan) as run, prometheus(tmp_path, gateway.address) as server:
        assert run.process.wait(timeout=60) == 0, run.ended()
        finished = 'count(gangplank_run_state{state="finished"} == 1)'
        eventually(lambda: server.query(finished), until=lambda found: bool(found) and found[0][1] == 2, timeout=30)
        queries = [
            line.replace("[5m]", "[10s]")  # the run is that short
            for block in re.findall(
                r"```promql\n(.*?)```", DOCS.read_text().partition("## Many processes")[2], re.DOTALL
            )
            for line in block.splitlines()
        ]
        found = {query: {labels["rank"]: number for labels, number in server.query(query)} for query in queries}
    assert len(found) == 6
    per_step, slowest, lost = queries[:2], queries[2:4], queries[4:]
    if where == "compute":
        for two in (per_step, slowest, lost):
            two.reverse()
    assert found[per_step[0]]["1"] > 0.05
    assert max(found[per_step[0]]["0"], *found[per_step[1]].values()) < 0.02
    assert found[slowest[0]].keys() == {"1"}
    assert found[lost[0]].keys() == {"1"}
    assert found[lost[1]] == {}
    times = [value(gateway, "gangplank_run_step_duration_seconds_sum", rank=rank) or 0.0 for rank in ("0", "1")]
    if where == "loader":
        assert times[0] > 2 * times[1], "step time blames the wrong one"
    else:
        assert times[0] == pytest.approx(times[1], rel=0.2), "step time blames nobody"


def test_an_exception_on_rank_1_is_no_success_on_either(gateway: Server, tmp_path: Path) -> None:
    with training(tmp_path, gateway, fails_on=1, epochs=50, options={"per_rank": True}) as run:
        said = run.ended()
    assert run.process.returncode != 0
    assert "of the user's" in said
    assert [state(gateway, rank=rank) for rank in ("0", "1")] == ["failed", "failed"]


def test_rank_1_killed_is_a_failure(gateway: Server, tmp_path: Path) -> None:
    with training(tmp_path, gateway, epochs=10_000, step=0.01) as run:
        os.kill(run.await_event(1, "batch")["pid"], signal.SIGKILL)
        run.ended()
    assert run.process.returncode != 0
    assert state(gateway) == "failed"


def test_sigterm_is_an_interruption(gateway: Server, tmp_path: Path) -> None:
    with training(tmp_path, gateway, epochs=10_000, step=0.01) as run:
        run.await_event(1, "batch")
        run.process.send_signal(signal.SIGTERM)
        said = run.ended()
    assert run.process.returncode == 0, said
    assert state(gateway) == "interrupted"


@pytest.mark.parametrize(("strategy", "fails_on"), [("ddp_spawn", None), ("ddp_spawn", 1), ("ddp_fork", 1)])
def test_spawned_processes_export_as_well(gateway: Server, tmp_path: Path, strategy: str, fails_on: int | None) -> None:
    with training(tmp_path, gateway, strategy=strategy, fails_on=fails_on, options={"per_rank": True}) as run:
        said = run.ended()
    assert (run.process.returncode != 0) == (fails_on is not None), said
    expected = "finished" if fails_on is None else "failed"
    assert [state(gateway, rank=rank) for rank in ("0", "1")] == [expected, expected]
    assert [value(gateway, "gangplank_run_epoch", rank=rank) for rank in ("0", "1")] == [1 if fails_on else 2] * 2
