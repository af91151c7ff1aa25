"""Counting on a GPU: against the speed of its memory, and against copying the weights to the host."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.contest import OURS, Contest, MissingError, Options, check, take_turns
from benchmarks.weighing import EDGES_13
from benchmarks.worker import Worker

GROUP = "Counting on the accelerator"
COPY, HOST = "copy within the card", "copy to the host, counted there"


def accelerator(options: Options) -> Iterator[Contest]:
    """Float32 weights on a CUDA device, 13 edges; no figures if there is none."""
    size = options.size(250_000_000, 10_000_000)
    with Worker() as worker:
        speeds, missing = take_turns(
            {
                OURS: lambda: worker.call("accelerator:speed", size=size, what="count"),
                COPY: lambda: worker.call("accelerator:speed", size=size, what="copy"),
            },
            options.rounds,
        )
        times, _ = take_turns(
            {
                OURS: lambda: worker.call("accelerator:seconds", size=size, what="count"),
                HOST: lambda: worker.call("accelerator:seconds", size=size, what="host"),
            },
            options.rounds,
        )
    what = f"{size:,} float32 weights, 13 edges"
    yield Contest(group=GROUP, what=f"{what}: memory speed", unit="GB/s", rounds=speeds, missing=missing)
    yield Contest(group=GROUP, what=f"{what}: time", unit="s", rounds=times, missing=missing)


def seconds(size: int, what: str) -> float:
    """Return how long one contestant takes, in a worker."""
    torch = importlib.import_module("torch")
    if not torch.cuda.is_available():
        raise MissingError("no GPU here")
    histogram, arrays = (
        importlib.import_module("gangplank.core.weights.histogram"),
        importlib.import_module("gangplank.core.weights.arrays"),
    )
    torch.manual_seed(1)
    tensor = torch.randn(size, device="cuda") * 0.05
    contestants: dict[str, Callable[[], Any]] = {
        "count": lambda: histogram.count_weights(arrays.arrays_of(tensor), EDGES_13),
        "host": lambda: histogram.count_weights([tensor.cpu().numpy()], EDGES_13),
        "copy": tensor.clone,
    }
    contestants[what]()
    torch.cuda.synchronize()
    start = time.perf_counter()
    result = contestants[what]()
    torch.cuda.synchronize()
    took = time.perf_counter() - start
    if what == "count":
        right = contestants["host"]()
        check((result.counts, result.total) == (right.counts, right.total), f"on the GPU {result}, right is {right}")
    return took


def speed(size: int, what: str) -> float:
    """Return gigabytes of memory per second: each weight is read once, and a copy also writes it."""
    return 4 * size * (2 if what == "copy" else 1) / seconds(size, what) / 1e9
