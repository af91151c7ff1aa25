"""What a shared Pushgateway bears: pushes per second, and the size of a scrape, by jobs."""

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
from gangplank.core.histogram import count_weights
from servers import Server, find, free_port, running

EDGES = tuple(edge / 100 for edge in range(-30, 31, 5))
GAUGES, TENSORS = "40 gauges", "200 tensors"
PUSHES, UNCHECKED, SCRAPE, SECONDS = "pushes per second", "the same, unchecked", "scrape, MB", "scrape, s"
BELIEVES = "--push.disable-consistency-check"
PATIENCE = 120.0
PROBES, WINDOW = 5, 1.0
ABOUT = (
    "One client, a connection for each push. A Pushgateway compares each push with all that it holds; unchecked is one "
    f"started with `{BELIEVES}`: it believes its clients, and answers before it has stored."
)


def capacity(options: Options) -> Iterator[Contest]:
    """Fill gateways with jobs of gauges, and with jobs of tensors."""
    for kind in (GAUGES, TENSORS):
        body = page(kind)
        series = sum(not line.startswith(b"#") for line in body.splitlines())
        for jobs in (10, 100, 1000)[: options.size(3, 2)]:
            with tempfile.TemporaryDirectory() as folder:
                # Filling one that checks takes a quarter of an hour: it gets the state of the other one.
                with keeping(Path(folder), BELIEVES) as server:
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
    """Yield a Pushgateway that keeps what it holds in this folder, for the next one."""
    port = free_port()
    command = [find("prometheus-pushgateway", "pushgateway"), f"--web.listen-address=127.0.0.1:{port}"]
    with running([*command, f"--persistence.file={folder / 'state'}", *options], port, folder / "log") as server:
        yield server
        server.process.terminate()
        server.process.wait(PATIENCE)


def page(kind: str) -> bytes:
    """Return the page that each job pushes: what it is named after, and what every page has besides."""
    if kind == GAUGES:
        return page_with(None, job="", metrics={f"metric_{place}": (place / 7, None) for place in range(40)}).text()
    random = np.random.default_rng(1)
    arrays = {f"block_{place}/kernel": random.normal(0, 0.05, 50) for place in range(200)}
    return page_with({name: count_weights([array], EDGES) for name, array in arrays.items()}, job="").text()


def push(server: Server, body: bytes, job: int) -> None:
    """Replace the page of a job, over a connection of its own, as an exporter does."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("PUT", f"/metrics/job/job_{job}/phase/train", body)
    status = connection.getresponse().status
    connection.close()
    check(status in (http.HTTPStatus.OK, http.HTTPStatus.ACCEPTED), f"the gateway answered {status}")


def rates(server: Server, body: bytes, held: int) -> list[float]:
    """Return the pushes per second of one client that pushes again and again."""
    taken = []
    for _ in range(PROBES):
        start, pushes = time.monotonic(), 0
        while time.monotonic() < start + WINDOW:
            push(server, body, pushes % held)
            pushes += 1
        taken.append(pushes / (time.monotonic() - start))
    return taken


def scrapes(server: Server, held: int) -> dict[str, list[float]]:
    """Return what two scrapes weigh and take."""
    end = time.monotonic() + PATIENCE
    while (count := _scrape(server)[0]) != held and time.monotonic() < end:
        time.sleep(0.2)  # it may be storing yet
    check(count == held, f"the scrape has {count} jobs, not {held}")
    taken = [_scrape(server) for _ in range(2)]
    return {SCRAPE: [size for _, size, _ in taken], SECONDS: [seconds for _, _, seconds in taken]}


def _scrape(server: Server) -> tuple[int, float, float]:
    """Return how many jobs a scrape has, and what it weighs and takes."""
    start = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read()
    connection.close()
    took = time.monotonic() - start
    return text.count(b"\ngangplank_run_start_timestamp_seconds{"), len(text) / 1e6, took
