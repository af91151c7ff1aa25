"""The capacity of a shared Pushgateway: pushes per second, and the size of a scrape, by number of jobs."""

from __future__ import annotations

import contextlib
import http.client
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.contest import Contest, Options, check
from benchmarks.pages import page_with
from gangplank.core.page.page import MetricValue
from gangplank.core.weights.histogram import count_weights
from support.servers import Server, find, free_port, running

EDGES = tuple(edge / 100 for edge in range(-30, 31, 5))
GAUGES, TENSORS = "40 gauges", "200 tensors"
PUSHES, UNCHECKED, SCRAPE, SECONDS = "pushes per second", "the same, unchecked", "scrape, MB", "scrape, s"
UNCHECKING = "--push.disable-consistency-check"
PATIENCE = 120.0
PROBES, WINDOW = 5, 1.0
ABOUT = (
    "One client, with a new connection for each push. A Pushgateway checks each push for consistency with all other "
    f'groups. "Unchecked" is one with `{UNCHECKING}`, which answers before it has stored the push.'
)


def capacity(options: Options) -> Iterator[Contest]:
    """Gateways with many jobs: of gauges, and of tensors."""
    for kind in (GAUGES, TENSORS):
        body = page(kind)
        series = sum(not line.startswith(b"#") for line in body.splitlines())
        for jobs in (10, 100, 1000)[: options.size(3, 2)]:
            with tempfile.TemporaryDirectory() as folder:
                # Filling a gateway that checks takes 15 minutes, so it starts with the state of the other one.
                with keeping(Path(folder), UNCHECKING) as server:
                    for job in range(jobs):
                        push(server, body, job)
                    weighed = scrapes(server, jobs)
                    unchecked = rates(server, body, jobs)
                with keeping(Path(folder)) as server:
                    scrapes(server, jobs)
                    checked = rates(server, body, jobs)
            yield Contest(
                group="A shared gateway",
                what=f"{jobs:,} jobs of {kind}, {jobs * series:,} series",
                unit="",
                compared=False,
                rounds={PUSHES: checked, UNCHECKED: unchecked, **weighed},
                notes=(ABOUT,),
            )


@contextlib.contextmanager
def keeping(folder: Path, *options: str) -> Iterator[Server]:
    """Yield a Pushgateway that keeps its state in this folder, for the next one."""
    port = free_port()
    command = [find("prometheus-pushgateway", "pushgateway"), f"--web.listen-address=127.0.0.1:{port}"]
    with running([*command, f"--persistence.file={folder / 'state'}", *options], port, folder / "log") as server:
        yield server
        server.process.terminate()
        server.process.wait(PATIENCE)


def page(kind: str) -> bytes:
    """Return the page that each job pushes: its gauges or tensors, and the families that every page has."""
    if kind == GAUGES:
        return page_with(
            None, job="", metrics={f"metric_{place}": MetricValue(place / 7) for place in range(40)}
        ).text()
    random = np.random.default_rng(1)
    arrays = {f"block_{place}/kernel": random.normal(0, 0.05, 50) for place in range(200)}
    return page_with({name: count_weights([array], EDGES) for name, array in arrays.items()}, job="").text()


def push(server: Server, body: bytes, job: int) -> None:
    """Replace the page of a job, over a new connection, as an exporter does."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("PUT", f"/metrics/job/job_{job}/phase/train", body)
    status = connection.getresponse().status
    connection.close()
    check(status in (http.HTTPStatus.OK, http.HTTPStatus.ACCEPTED), f"the gateway answered {status}")


def rates(server: Server, body: bytes, held: int) -> list[float]:
    """Return the pushes per second of one client that pushes without pause."""
    taken = []
    for _ in range(PROBES):
        start, pushes = time.monotonic(), 0
        while time.monotonic() < start + WINDOW:
            push(server, body, pushes % held)
            pushes += 1
        taken.append(pushes / (time.monotonic() - start))
    return taken


def scrapes(server: Server, held: int) -> dict[str, list[float]]:
    """Return the size and the time of two scrapes."""
    end = time.monotonic() + PATIENCE
    while (count := _scrape(server)[0]) != held and time.monotonic() < end:
        time.sleep(0.2)  # it may still be storing
    check(count == held, f"the scrape has {count} jobs, not {held}")
    taken = [_scrape(server) for _ in range(2)]
    return {SCRAPE: [size for _, size, _ in taken], SECONDS: [seconds for _, _, seconds in taken]}


def _scrape(server: Server) -> tuple[int, float, float]:
    """Return the number of jobs in a scrape, its size in MB and its time in seconds."""
    start = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read()
    connection.close()
    took = time.monotonic() - start
    return text.count(b"\ngangplank_run_start_timestamp_seconds{"), len(text) / 1e6, took
