"""A soak test: simulated training at 50 epochs a second while its gateway is killed, stopped, restarted and slowed.

There are three processes: this one trains and records; another one injects the faults, at random
(benchmarks/chaos.py); a third one, the control, runs the same training without gangplank, to show the delays that the
machine causes in any loop.

The exit code is 0 only if all of this holds:

- the gateway has the last loss, the last epoch and the state `finished` once `finish` has returned;
- memory and threads are flat from the end of the warm-up on;
- `record` took less than 5 ms in 99 of 100 calls and never more than 50 ms, counting the (small) weights included. If
  the slowest call of the control took more than 50 ms, the bound is 50 ms over that, and the summary says so.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import gangplank

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import chaos, figures
from support.reading import samples
from support.servers import free_port, get

EPOCHS_A_SECOND = 50
P99_MS, MOST_MS = 5.0, 50.0
# Seconds without faults at the end: longer than the deadline of a push, so that no push is left that began in a fault.
PEACE = 8.0
# Resident memory may differ by as much between two moments of a process that leaks nothing.
MOST_GROWTH_MIB = 2.0
JOB = "soak"

Weights = list[npt.NDArray[np.float32]]
Record = Callable[[dict[str, float], int, Weights], object]


@dataclass
class Training:
    """The measurements of one training run.

    Attributes:
        hooks: seconds that each `record` took.
        memory: resident MiB, once a second.
        threads: all threads of the process, once a second.
        loss: the last one.
        seconds: the duration of the training.
    """

    hooks: array[float]
    memory: list[float] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    loss: float = math.nan
    seconds: float = 0.0


def train(record: Record, epochs: int) -> Training:
    """Train for this many epochs, 50 a second, and time `record`."""
    seen = Training(hooks=array("d", bytes(8 * epochs)))  # allocated now, since memory is measured
    generator = np.random.default_rng(0)
    weights = [generator.normal(size=(32, 32)).astype(np.float32) for _ in range(4)]
    begin = time.monotonic()
    for epoch in range(epochs):
        weights = [layer * np.float32(0.999) for layer in weights]
        seen.loss = 1.0 / (epoch + 1)
        metrics = {"loss": seen.loss} | {f"metric_{i}": epoch + i / 100 for i in range(19)}

        start = time.perf_counter()
        record(metrics, epoch, weights)
        seen.hooks[epoch] = time.perf_counter() - start

        if epoch % EPOCHS_A_SECOND == 0:
            status = Path("/proc/self/status").read_text()
            resident, threads = (int(status.split(name)[1].split()[0]) for name in ("VmRSS:", "Threads:"))
            seen.memory.append(resident / 1024)
            seen.threads.append(threads)
        time.sleep(max(0.0, begin + (epoch + 1) / EPOCHS_A_SECOND - time.monotonic()))
    seen.seconds = time.monotonic() - begin
    return seen


def control(owner: Connection, epochs: int) -> None:
    """Train without gangplank, in a separate process, and send how long the stand-in for `record` took."""

    def stand_in(metrics: dict[str, float], epoch: int, weights: Weights) -> None:
        # About as much Python code as `record` runs, and the same arrays are read.
        for _ in range(25):
            dict(sorted((name, value + epoch) for name, value in metrics.items()))
        for layer in weights:
            float(np.sum(layer))

    owner.recv()
    owner.send(train(stand_in, epochs).hooks)


def soak(seconds: float, seed: int) -> dict[str, Any]:
    """Train at the same time as the chaos and the control; return the measurements, and the violations as `faults`."""
    epochs = round(seconds * EPOCHS_A_SECOND)
    port = free_port()
    spawn = multiprocessing.get_context("spawn")  # a fork would share the memory, which is measured
    chaos_end, for_chaos = spawn.Pipe()
    control_end, for_control = spawn.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        tormentor = spawn.Process(target=chaos.torment, args=(for_chaos, folder, port, seed))
        controller = spawn.Process(target=control, args=(for_control, epochs), daemon=True)
        tormentor.start()
        controller.start()
        for_chaos.close()
        for_control.close()
        try:
            chaos_end.recv()  # the gateway is ready
            chaos_end.send(seconds - PEACE)
            control_end.send("go")

            run = gangplank.run(
                f"127.0.0.1:{port}", JOB, histogram_buckets=gangplank.HISTOGRAM_WEIGHT_BUCKETS_1_0, run="soak"
            )
            run.start(epochs=epochs)
            trained = train(lambda metrics, epoch, weights: run.record(metrics, epoch=epoch, weights=weights), epochs)
            start = time.perf_counter()
            run.finish()
            finish = time.perf_counter() - start

            page = get(f"http://127.0.0.1:{port}/metrics")
            control_hooks = control_end.recv()
            done = chaos_end.recv()
        finally:
            chaos_end.close()
            control_end.close()
            tormentor.join(20)
            controller.join(20)

    result = {
        "machine": figures.machine(),
        "seconds": round(trained.seconds, 1),
        "seed": seed,
        "epochs": epochs,
        "chaos": done,
        "hook": figures.quantiles(trained.hooks),
        "control": figures.quantiles(control_hooks),
        "finish_ms": 1000 * finish,
        "failed_pushes": sum(sample.value for sample in samples(page, "gangplank_run_export_failures_total")),
        **flatness(trained),
    }
    result["faults"] = [
        *wrong_on(page, trained.loss, epochs),
        *slow_hooks(result["hook"], result["control"]),
        *not_flat(result),
        *idle_chaos(result),
    ]
    return result


def wrong_on(page: str, loss: float, epochs: int) -> list[str]:
    """Return the wrong values on the gateway."""
    expected = [
        ("gangplank_train_loss", {}, loss),
        ("gangplank_run_epoch", {}, epochs),
        ("gangplank_run_state", {"state": "finished"}, 1.0),
        ("gangplank_run_state", {"state": "running"}, 0.0),
    ]
    faults = []
    for name, labels, value in expected:
        held = [sample.value for sample in samples(page, name, job=JOB, phase="train", **labels)]
        if held != [value]:
            faults.append(f"the gateway has {held} as {name}{labels or ''} instead of {value}")
    return faults


def slow_hooks(hook: dict[str, float], alone: dict[str, float]) -> list[str]:
    """Return the violated bounds of the hooks."""
    faults = []
    if hook["p99_ms"] >= P99_MS:
        faults.append(f"one hook in a hundred took {hook['p99_ms']:.1f} ms or more")
    if hook["max_ms"] > most_ms(alone):
        faults.append(f"a hook took {hook['max_ms']:.1f} ms")
    return faults


def most_ms(alone: dict[str, float]) -> float:
    """Return the bound for a hook, on a machine that delays the control this long."""
    return MOST_MS + (alone["max_ms"] if alone["max_ms"] > MOST_MS else 0.0)


def flatness(trained: Training) -> dict[str, Any]:
    """Return memory and threads after the warm-up, which is a fifth of the time, and at the end."""
    moment = max(1, len(trained.memory) // 10)
    warm = len(trained.memory) // 5
    return {
        "memory_mib": [
            statistics.median(trained.memory[at]) for at in (slice(warm, warm + moment), slice(-moment, None))
        ],
        "threads": [max(trained.threads[at]) for at in (slice(warm, warm + moment), slice(warm, None))],
        "python_threads_after": sorted(
            thread.name for thread in threading.enumerate() if thread is not threading.main_thread()
        ),
    }


def not_flat(result: dict[str, Any]) -> list[str]:
    """Return the growth of memory and threads that is too large."""
    faults = []
    before, after = result["memory_mib"]
    if after - before > MOST_GROWTH_MIB:
        faults.append(f"memory grew from {before:.1f} to {after:.1f} MiB")
    before, most = result["threads"]
    if most > before:
        faults.append(f"{before} threads after the warm-up became {most}")
    if result["python_threads_after"]:
        faults.append(f"threads outlive the run: {result['python_threads_after']}")
    return faults


def idle_chaos(result: dict[str, Any]) -> list[str]:
    """Return why the soak test proves nothing, if there was no fault."""
    return [] if result["chaos"] and result["failed_pushes"] else ["the gateway was never out of reach"]


def summary(result: dict[str, Any]) -> str:
    """Return a summary of the result, as Markdown."""
    chaos_done = ", ".join(f"{action} {count}" for action, count in sorted(result["chaos"].items()))
    rows = [
        f"| {name} | {row['median_ms']:.2f} ms | {row['p99_ms']:.2f} ms | {row['max_ms']:.1f} ms |"
        for name, row in (("`record`, weights counted", result["hook"]), ("the control", result["control"]))
    ]
    memory, threads = result["memory_mib"], result["threads"]
    lines = [
        f"{result['epochs']:,} epochs in {result['seconds']:.0f} s, seed {result['seed']}; {result['machine']}.",
        "",
        "| | median | p99 | slowest |",
        "|---|--:|--:|--:|",
        *rows,
        "",
        f"- Faults of the gateway: {chaos_done}. {result['failed_pushes']:,.0f} pushes failed.",
        f"- Memory: {memory[0]:.1f} MiB after the warm-up, {memory[1]:.1f} MiB at the end.",
        f"- Threads of the process: {threads[0]} after the warm-up, at most {threads[1]} after it.",
        f"- `finish` took {result['finish_ms']:.0f} ms.",
    ]
    if result["control"]["max_ms"] > MOST_MS:
        lines.append(
            f"- The machine delayed the control by more than {MOST_MS:.0f} ms, too: the bound for a hook was "
            f"{most_ms(result['control']):.0f} ms."
        )
    verdict = [f"- **Wrong**: {fault}." for fault in result["faults"]] or ["- All bounds were kept."]
    return "\n".join([*lines, *verdict])


def main() -> int:
    """Run the soak test, and print its result."""
    parser = argparse.ArgumentParser(description="Train while the gateway is killed, stopped and slowed at random.")
    parser.add_argument("--seconds", type=float, default=600.0, help="duration (default: %(default)s; at least 20)")
    parser.add_argument("--seed", type=int, default=1, help="of the random faults (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    parser.add_argument("--write", action="store_true", help="write the summary into docs/never-hurt.md")
    options = parser.parse_args()
    if options.seconds < 20:  # noqa: PLR2004  of which the last 8 have no faults
        parser.error("--seconds: give at least 20")
    result = soak(options.seconds, options.seed)
    print(summary(result))
    figures.write_json(options.json, result)
    if options.write:
        figures.write_page("soak", summary(result))
    return 1 if result["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
