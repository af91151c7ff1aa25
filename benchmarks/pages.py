"""Pages of per-tensor histograms: rendered, pushed, and what that does to the thread that trains."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import prometheus_client
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.contest import OURS, Contest, Options, Target, check, take_turns
from benchmarks.hooks import gateway
from gangplank.core.buckets import HISTOGRAM_WEIGHT_BUCKETS_AUTO
from gangplank.core.histogram import WeightCounts, count_weights
from gangplank.core.page import Page
from gangplank.core.sinks.pushgateway import Pushgateway
from gangplank.core.snapshot import Group

GROUP = "Pages of per-tensor histograms"
# 30 edges are 31 buckets.
EDGES = tuple(edge for edge in HISTOGRAM_WEIGHT_BUCKETS_AUTO if edge)
FAMILY = "gangplank_train_model_weights"
CLIENT, CLIENT_PUSH = "`generate_latest`", "`push_to_gateway`"
NOTHING = "nothing else going on"


def tensors(count: int) -> dict[str, Any]:
    """Return weights by tensor."""
    random = np.random.default_rng(1)
    return {f"block_{place}/kernel": random.normal(0, 0.05, 20).astype(np.float32) for place in range(count)}


def page_of(weights: dict[str, Any]) -> Page:
    """Return our page of these weights."""
    counted = {name: count_weights([array], EDGES) for name, array in weights.items()}
    return page_with(counted, job="bench")


def page_with(counted: dict[str, WeightCounts] | None, job: str, **values: Any) -> Page:
    """Return a page of ours."""
    group = Group((("job", job), ("phase", "train")))
    return Page(
        group=group, phase="train", labels={"run": "one"}, info={}, started=0, last_update=0, heartbeat=0,
        weights=counted, **values,
    )  # fmt: skip


def registry_of(weights: dict[str, Any]) -> prometheus_client.CollectorRegistry:
    """Return prometheus_client's own histograms of these weights."""
    registry = prometheus_client.CollectorRegistry()
    family = prometheus_client.Histogram(FAMILY, "Weights.", ["run", "tensor"], buckets=EDGES, registry=registry)
    for name, array in weights.items():
        histogram = family.labels("one", name)
        for weight in array:
            histogram.observe(weight)
    return registry


def samples(text: str, job: str | None = None) -> dict[tuple[str, ...], float]:
    """Return the buckets and counts of the histograms (of a job); prometheus_client leaves out sums below zero."""
    return {
        (sample.name, sample.labels["tensor"], str(float(sample.labels.get("le", "nan")))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in (f"{FAMILY}_bucket", f"{FAMILY}_count") and job in (None, sample.labels.get("job"))
    }


def milliseconds(work: Callable[[], object], times: int) -> float:
    """Return the mean time of some work."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return 1000 * (time.perf_counter() - start) / times


def longest_stall(work: Callable[[], object]) -> float:
    """Return the longest time, in milliseconds, that a thread which trains stood still while another did some work."""
    done = threading.Event()

    def be_busy() -> None:
        for _ in range(5):
            work()
        done.set()

    other = threading.Thread(target=be_busy)
    longest, before = 0.0, time.perf_counter()
    other.start()
    while not done.is_set():
        now = time.perf_counter()
        longest, before = max(longest, now - before), now
    other.join()
    return 1000 * longest


def pages(options: Options) -> Iterator[Contest]:
    """Our page against prometheus_client's, of a hundred tensors and of a thousand."""
    for count in (100, options.size(1000, 200)):
        yield from _pages(options, count)


def _pages(options: Options, count: int) -> Iterator[Contest]:
    weights = tensors(count)
    page, registry = page_of(weights), registry_of(weights)
    ours, theirs = samples(page.text().decode()), samples(prometheus_client.generate_latest(registry).decode())
    check(ours == theirs, f"{count} tensors: the samples differ")
    del theirs
    gc.collect()
    gc.freeze()  # one contestant's objects are not for the garbage collections of the other
    times = max(1, options.size(2000, 400) // count)
    what = f"{count:,} tensors, 31 buckets each"
    with gateway() as server:
        sink = Pushgateway(server.address)

        def push() -> None:
            sink.send(page, 30.0)

        def push_theirs() -> None:
            prometheus_client.push_to_gateway(server.address, "theirs", registry)

        render, render_theirs = page.text, partial(prometheus_client.generate_latest, registry)
        rendered, _ = take_turns(
            {OURS: partial(milliseconds, render, times), CLIENT: partial(milliseconds, render_theirs, times)},
            options.rounds,
        )
        pushed, _ = take_turns(
            {OURS: partial(milliseconds, push, times), CLIENT_PUSH: partial(milliseconds, push_theirs, times)},
            options.rounds,
        )
        held = server.metrics()
        check(samples(held, "bench") == samples(held, "theirs") == ours, f"{count} tensors: the gateway's differ")
        stalls, _ = take_turns(
            {
                OURS: partial(longest_stall, push),
                CLIENT_PUSH: partial(longest_stall, push_theirs),
                NOTHING: partial(longest_stall, partial(time.sleep, 0.02)),
            },
            options.rounds,
        )
    yield Contest(
        group=GROUP, what=f"{what}: rendered", unit="ms", rounds=rendered, targets=(Target(times=15, than=CLIENT),)
    )
    yield Contest(
        group=GROUP,
        what=f"{what}: rendered and pushed",
        unit="ms",
        rounds=pushed,
        targets=(Target(times=3, than=CLIENT_PUSH),),
        notes=("The samples are identical, on the gateway too.",),
    )
    yield Contest(
        group=GROUP,
        what=f"{what}: longest stall of the training thread meanwhile",
        unit="ms",
        rounds=stalls,
        targets=(Target(most=5),),
        notes=("A loop in Python notes the longest gap between two of its turns while five pages are pushed.",),
    )
