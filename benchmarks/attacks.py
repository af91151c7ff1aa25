"""What peers, files and forgotten runs that mean harm cost a training run, and a command; `make faults` writes it."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import logging
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import gangplank
from benchmarks import figures
from gangplank.core.delivery import outbox
from gangplank.testing import MemorySink
from gangplank.testing.gateway.body import unpacked
from support.reading import eventually
from support.servers import pushgateway

PEERS, FORGOTTEN, NAMES = 1_100, 300, 20_000
METRICS = {f"metric_{place}": float(place) for place in range(20)}


def scraped() -> None:
    """Train beside a scrape endpoint, in a process of its own: say the port, wait for a line, and say the figures."""
    exporter = gangplank.Exporter("scrape://127.0.0.1:0", "digits", ignore_exceptions=False)
    with exporter.run() as run:
        run.record(METRICS, epoch=0)
        print(json.dumps({"port": int(exporter.addresses[0].rpartition(":")[2])}), flush=True)
        sys.stdin.readline()
        took, threads, descriptors = [], 0, 0
        for epoch in range(1, 501):
            start = time.perf_counter()
            run.record(METRICS, epoch=epoch)
            took.append(time.perf_counter() - start)
            threads = max(threads, sum(1 for _ in Path("/proc/self/task").iterdir()))
            descriptors = max(descriptors, sum(1 for _ in Path("/proc/self/fd").iterdir()))
            time.sleep(0.01)
    print(json.dumps({"hook": figures.quantiles(took), "threads": threads, "descriptors": descriptors}), flush=True)


def crowd(peers: int) -> dict[str, Any]:
    """Return what so many peers that send a byte every three seconds cost a training run."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * PEERS)), hard))
    command = ["sh", "-c", f"ulimit -n 1024; exec {sys.executable} {__file__} --part scraped"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as training:  # noqa: S603  our own
        assert training.stdin is not None  # noqa: S101  for mypy
        assert training.stdout is not None  # noqa: S101
        port = json.loads(training.stdout.readline())["port"]
        with contextlib.ExitStack() as connections:
            each, over = [], threading.Event()
            for _ in range(peers):
                peer = connections.enter_context(socket.socket())
                peer.settimeout(0)
                peer.connect_ex(("127.0.0.1", port))
                each.append(peer)

            def drip() -> None:
                while not over.wait(3):
                    for peer in each:
                        with contextlib.suppress(OSError):
                            peer.send(b"G")

            thread = threading.Thread(target=drip)
            thread.start()
            time.sleep(1 if peers else 0)
            training.stdin.write("\n")
            training.stdin.flush()
            result: dict[str, Any] = json.loads(training.stdout.readline())
            over.set()
            thread.join()
        return result


def forgotten() -> int:
    """Return how many threads are left of runs that were forgotten, once a heartbeat has passed."""
    outbox.HEARTBEAT = 0.5
    with tempfile.TemporaryDirectory() as folder, pushgateway(Path(folder)) as gateway:
        before, kept = threading.active_count(), []
        for _ in range(FORGOTTEN):
            kept.append(gangplank.run(gateway.address, "digits"))
            kept[-1].record({"loss": 0.5}, epoch=0)
        eventually(lambda: threading.active_count() - before <= 1, timeout=60)
        left = threading.active_count() - before
        kept[-1].finish()
        return left


def lines_of_names() -> tuple[int, float]:
    """Return how many lines metrics that are text, each under another name, leave in the log, and the seconds."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("gangplank").addHandler(handler)
    start = time.monotonic()
    with gangplank.run("memory", "digits", sink=MemorySink()) as run:
        for place in range(NAMES):
            run.record({f"text_{place}": "yes"}, epoch=place)
    logging.getLogger("gangplank").removeHandler(handler)
    return len(lines), time.monotonic() - start


@contextlib.contextmanager
def served(send: Callable[[socket.socket], None]) -> Iterator[str]:
    """Yield the address of a server that answers one connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError), server.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
                while True:
                    send(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def drips(connection: socket.socket) -> None:
    """Send a byte now and then."""
    connection.sendall(b"#")
    time.sleep(0.5)


def never_ends(connection: socket.socket) -> None:
    """Send as much as the peer takes."""
    connection.sendall(b"# a comment\n" * 10_000)


def command(send: Callable[[socket.socket], None]) -> tuple[float, float, int]:
    """Return the seconds that `gangplank show` takes, its largest memory in MiB, and its exit code."""
    with served(send) as address:
        start = time.monotonic()
        code = f"import sys; from gangplank.cli import main; sys.exit(main(['show', '{address}']))"
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
        _, status, usage = os.wait4(process.pid, 0)
        return time.monotonic() - start, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)


def refused(path: Path) -> float:
    """Return the seconds after which something that is no file is refused as a destination."""
    start = time.monotonic()
    try:
        gangplank.Exporter(f"file://{path}", "digits")
    except gangplank.ConfigurationError:
        return time.monotonic() - start
    raise SystemExit(f"{path} was not refused")


def files() -> dict[str, float]:
    """Return how long it takes to refuse a FIFO, a device and a very large file."""
    with tempfile.TemporaryDirectory() as folder:
        fifo, device, large = (Path(folder) / f"{name}.prom" for name in ("fifo", "device", "large"))
        os.mkfifo(fifo)
        device.symlink_to("/dev/zero")
        with large.open("wb") as file:
            file.truncate(2**38)
        refused(device)  # the first is slower, since it imports
        return {path.stem: refused(path) for path in (fifo, device, large)}


def measure() -> dict[str, Any]:
    """Return all figures."""
    members = gzip.compress(b"") * (4 * 2**20 // len(gzip.compress(b"")))
    start = time.monotonic()
    unpacked(members)
    gzip_seconds = time.monotonic() - start
    return {
        "machine": figures.machine(),
        "alone": crowd(0),
        "crowd": crowd(PEERS),
        "forgotten": forgotten(),
        "names": lines_of_names(),
        "files": files(),
        "drips": command(drips),
        "never_ends": command(never_ends),
        "gzip": gzip_seconds,
    }


def table(result: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    alone, peers = result["alone"], result["crowd"]
    lines, seconds = result["names"]
    milliseconds = ", ".join(f"{1000 * one:.1f}" for one in result["files"].values())

    def took(training: dict[str, Any]) -> str:
        return f"{training['hook']['median_ms']:.2f} ms, p99 {training['hook']['p99_ms']:.2f} ms"

    rows = [
        (
            f"{PEERS:,} peers at a scrape endpoint, a byte every 3 s each; 1,024 descriptors allowed",
            (
                f"{peers['threads']} threads (without peers {alone['threads']}), {peers['descriptors']} descriptors; "
                f"`record` {took(peers)} (without peers {took(alone)})"
            ),
        ),
        (
            f"{FORGOTTEN} runs that were forgotten, then a newer one of their group",
            f"{result['forgotten']} thread, that of the newer one",
        ),
        (f"{NAMES:,} metrics that are text, each under another name", f"{lines} lines in the log, in {seconds:.1f} s"),
        ("a FIFO, a device, a file of 256 GiB in the place of `x.prom`", f"refused in {milliseconds} ms"),
        *(
            (f"`gangplank show`, and the server {what}", f"exit code {code} after {seconds_of:.1f} s, {memory:.0f} MiB")
            for what, (seconds_of, memory, code) in (
                ("sends a byte now and then", result["drips"]),
                ("never ends", result["never_ends"]),
            )
        ),
        ("4 MiB of empty gzip members, sent to `gangplank gateway`", f"{result['gzip']:.2f} s"),
    ]
    head = [f"{result['machine']}.", "", "| what | what it costs |", "|---|---|"]
    return "\n".join([*head, *(f"| {what} | {cost} |" for what, cost in rows)])


def main() -> None:
    """Measure, or train in a process of one's own."""
    parser = argparse.ArgumentParser(description="Measure what peers and files that mean harm cost.")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--write", action="store_true", help="write the table into docs/never-hurt.md")
    parser.add_argument("--part", choices=["scraped"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        scraped()
        return
    result = measure()
    print(table(result))
    figures.write_json(options.json, result)
    if options.write:
        figures.write_page("attacks", table(result))


if __name__ == "__main__":
    main()
