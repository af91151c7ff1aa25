"""Pages of per-tensor histograms: pushed, scraped and written, and for how long that blocks the training thread."""

from __future__ import annotations

import gc
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import prometheus_client
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.contest import OURS, Contest, Options, Target, check, take_turns
from benchmarks.hooks import gateway
from gangplank.core.page.page import Page
from gangplank.core.sinks.pushgateway import Pushgateway
from gangplank.core.sinks.scrape import Scrape
from gangplank.core.sinks.textfile import Textfile
from gangplank.core.types import Group, Snapshot
from gangplank.core.weights.buckets import HISTOGRAM_WEIGHT_BUCKETS_AUTO
from gangplank.core.weights.histogram import WeightCounts, count_weights

GROUP = "Pages of per-tensor histograms"
# 30 edges are 31 buckets.
EDGES = tuple(edge for edge in HISTOGRAM_WEIGHT_BUCKETS_AUTO if edge)
FAMILY = "gangplank_train_model_weights"
CLIENT, CLIENT_PUSH = "`generate_latest`", "`push_to_gateway`"
CLIENT_SCRAPE, CLIENT_FILE = "`start_http_server`", "`write_to_textfile`"
NOTHING = "nothing else going on"


def tensors(count: int) -> dict[str, Any]:
    """Return weights by tensor."""
    random = np.random.default_rng(1)
    return {f"block_{place}/kernel": random.normal(0, 0.05, 20).astype(np.float32) for place in range(count)}


def page_of(weights: dict[str, Any]) -> Page:
    """Return gangplank's page with these weights."""
    counted = {name: count_weights([array], EDGES) for name, array in weights.items()}
    return page_with(counted, job="bench")


def page_with(counted: dict[str, WeightCounts] | None, job: str, **values: Any) -> Page:
    """Return a page of gangplank."""
    group = Group((("job", job), ("phase", "train")))
    return Page(
        group=group, phase="train", labels={"run": "one"}, info={}, started=0, last_update=0, heartbeat=0,
        newest=Snapshot(weights=counted), failures={"http://127.0.0.1:9091": {}}, **values,
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
    """Return the buckets and counts of the histograms (of a job); prometheus_client omits negative sums."""
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
    """Return the longest pause of this thread, in milliseconds, while another one does some work."""
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
    """Our page against prometheus_client's: of a hundred tensors and of a thousand; scraped and written, of 200."""
    for count in (100, options.size(1000, 200)):
        yield from _pages(options, count)
    yield from _scraped(options, 200)
    yield from _written(options, 200)


def _pages(options: Options, count: int) -> Iterator[Contest]:
    weights = tensors(count)
    page, registry = page_of(weights), registry_of(weights)
    ours, theirs = samples(page.text().decode()), samples(prometheus_client.generate_latest(registry).decode())
    check(ours == theirs, f"{count} tensors: the samples differ")
    del theirs
    gc.collect()
    gc.freeze()  # so that no contestant pays for collecting the objects of another
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
        notes=("The samples are identical, also on the gateway.",),
    )
    yield _stalls(
        what, stalls, "The longest gap between two iterations of a loop in Python, while five pages are pushed."
    )


def _scraped(options: Options, count: int) -> Iterator[Contest]:
    weights = tensors(count)
    page, registry = page_of(weights), registry_of(weights)
    sink = Scrape("scrape://127.0.0.1:0")
    sink.send(page, 30.0)
    server, _ = prometheus_client.start_http_server(0, "127.0.0.1", registry)
    try:
        scrape = partial(_get, f"http{str(sink).removeprefix('scrape')}")
        scrape_theirs = partial(_get, f"http://127.0.0.1:{server.server_port}")
        check(samples(scrape()) == samples(scrape_theirs()), f"{count} tensors: the scraped samples differ")
        yield from _shown(
            options, f"{count:,} tensors, 31 buckets each: scraped", scrape, {CLIENT_SCRAPE: scrape_theirs}
        )
    finally:
        server.shutdown()
        server.server_close()
        sink.close()


def _written(options: Options, count: int) -> Iterator[Contest]:
    weights = tensors(count)
    page, registry = page_of(weights), registry_of(weights)
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder, "ours.prom"), Path(folder, "theirs.prom")
        sink = Textfile(f"file://{ours}")

        def write() -> None:
            sink.send(page, 30.0)

        def write_theirs() -> None:
            prometheus_client.write_to_textfile(str(theirs), registry)

        write()
        write_theirs()
        check(samples(ours.read_text()) == samples(theirs.read_text()), f"{count} tensors: the written samples differ")
        yield from _shown(options, f"{count:,} tensors, 31 buckets each: written", write, {CLIENT_FILE: write_theirs})


def _shown(
    options: Options, what: str, ours: Callable[[], object], theirs: dict[str, Callable[[], object]]
) -> Iterator[Contest]:
    """Yield how long it takes to show a page, and for how long that blocks the training thread."""
    each = {OURS: ours, **theirs}
    times = options.size(10, 3)
    taken, _ = take_turns({name: partial(milliseconds, work, times) for name, work in each.items()}, options.rounds)
    stalls, _ = take_turns({name: partial(longest_stall, work) for name, work in each.items()}, options.rounds)
    (client,) = theirs
    yield Contest(group=GROUP, what=what, unit="ms", rounds=taken, targets=(Target(times=3, than=client),))
    yield _stalls(what, stalls)


def _stalls(what: str, rounds: dict[str, list[float]], *notes: str) -> Contest:
    """Return for how long the training thread stands still meanwhile."""
    return Contest(
        group=GROUP,
        what=f"{what}: longest stall of the training thread meanwhile",
        unit="ms",
        rounds=rounds,
        targets=(Target(most=5),),
        notes=notes,
    )


def _get(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as answer:
        text: str = answer.read().decode()
    return text
