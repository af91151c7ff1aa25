"""What each fault of a gateway costs a training run: each hook, the end of the run, the end of the process.

Each case trains in a process of its own, for 500 epochs of 20 metrics at 100 epochs a second, and then ends the run and
itself. A second one records a few epochs and exits without finishing its run, which the exit of the interpreter then
has to do. For comparison, the cost of a call of prometheus_client's `push_to_gateway` with 20 gauges is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import prometheus_client

import gangplank

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import figures
from support.servers import free_port, pushgateway

CALLS, CALLS_A_SECOND = 500, 100
METRICS = {f"metric_{i}": i / 7 for i in range(20)}
# The timeout of push_to_gateway, whose default of 30 s would take too long here, and the limit for its process.
PUBLISHED_TIMEOUT, PATIENCE = 5.0, 20.0
NO_ANSWER = "gateway.invalid:9091"


class _Faulty(http.server.BaseHTTPRequestHandler):
    """Answers a PUT with the fault that its path names."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        fault, _, detail = self.path.removeprefix("/").partition("/")
        with contextlib.suppress(OSError):
            if fault == "slow":
                time.sleep(2.0)
                self._answer(HTTPStatus.OK)
            elif fault == "drip":
                self._drip()
            elif fault == "redirect":
                self._answer(HTTPStatus.FOUND, Location=f"/200/{detail}")
            else:
                self._answer(int(fault))

    def _answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"a fault of the benchmark\n")

    def _drip(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
        while True:
            self.wfile.write(b"a")
            time.sleep(0.5)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name in the base class
        """Log nothing."""


@contextlib.contextmanager
def faulty(fault: str) -> Iterator[str]:
    """Yield the address of a server with this fault."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Faulty) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}/{fault}"
        server.shutdown()


@contextlib.contextmanager
def real(*, frozen: bool) -> Iterator[str]:
    """Yield the address of a real Pushgateway."""
    with tempfile.TemporaryDirectory() as folder, pushgateway(Path(folder)) as gateway:
        if frozen:
            gateway.freeze()
        yield gateway.address


CASES: dict[str, Callable[[], contextlib.AbstractContextManager[str]]] = {
    "healthy": lambda: real(frozen=False),
    "connection refused": lambda: contextlib.nullcontext(f"127.0.0.1:{free_port()}"),
    "answers 400": lambda: faulty("400"),
    "answers 503": lambda: faulty("503"),
    "redirects (302)": lambda: faulty("redirect"),
    "takes 2 s to answer": lambda: faulty("slow"),
    "drips a byte every 0.5 s": lambda: faulty("drip"),
    "hangs (SIGSTOP)": lambda: real(frozen=True),
    "its name never resolves": lambda: contextlib.nullcontext(NO_ANSWER),
}


# What the measured processes do. Each writes its figures as lines of JSON; the last line says when it began to exit.


def train(address: str) -> None:
    """Train, and finish the run."""
    run = gangplank.run(address, "faults")
    run.start(epochs=CALLS)
    hooks = []
    for epoch in range(CALLS):
        start = time.perf_counter()
        run.record(METRICS, epoch=epoch)
        hooks.append(time.perf_counter() - start)
        time.sleep(1 / CALLS_A_SECOND)
    start = time.perf_counter()
    run.finish()
    _say(hooks=hooks, finish=time.perf_counter() - start)


def leave(address: str) -> None:
    """Train for a few epochs, and leave finishing the run to the exit."""
    run = gangplank.run(address, "faults")
    run.start(epochs=CALLS)
    for epoch in range(20):
        run.record(METRICS, epoch=epoch)
        time.sleep(1 / CALLS_A_SECOND)


def nothing(_: str) -> None:
    """Do nothing: the time of an exit by itself."""


def publish(address: str) -> None:
    """Push with prometheus_client, 100 times or until it has taken half of PATIENCE."""
    registry = prometheus_client.CollectorRegistry()
    gauges = {name: prometheus_client.Gauge(name, "A metric.", registry=registry) for name in METRICS}
    end = time.monotonic() + PATIENCE / 2
    for _ in range(100):
        for name, value in METRICS.items():
            gauges[name].set(value)
        start = time.perf_counter()
        with contextlib.suppress(OSError):
            prometheus_client.push_to_gateway(address, "faults", registry, timeout=PUBLISHED_TIMEOUT)
        _say(push=time.perf_counter() - start)
        if time.monotonic() > end:
            break


def _say(**seen: object) -> None:
    print(json.dumps(seen), flush=True)


PARTS = {part.__name__: part for part in (train, leave, nothing, publish)}


def play(part: str, address: str) -> None:
    """Run one part, in a process that is measured."""
    if address == NO_ANSWER:
        socket.getaddrinfo = lambda *_, **__: threading.Event().wait()  # type: ignore[assignment]
    PARTS[part](address)
    _say(exit=time.monotonic())


# Starting and measuring them.


def measured(part: str, address: str = "") -> tuple[list[dict[str, Any]], float]:
    """Return the lines of a process, and the seconds from its last line to its end; infinite if it had to be killed."""
    command = [sys.executable, __file__, "--part", part, "--address", address]
    limit = PATIENCE if part == "publish" else 60.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:  # noqa: S603  ourselves
        killer = threading.Timer(limit, process.kill)
        killer.start()
        assert process.stdout is not None  # noqa: S101  for mypy
        said = [json.loads(line) for line in process.stdout]
        process.wait()
        ended = time.monotonic()  # one clock for all processes
        killer.cancel()
    if process.returncode:
        if part != "publish":
            raise SystemExit(f"the process {part!r} ended with {process.returncode}")
        return said, float("inf")
    return said[:-1], ended - said[-1]["exit"]


def measure(case: str) -> dict[str, Any]:
    """Return the figures of one case."""
    with CASES[case]() as address:
        (trained,), exit_finished = measured("train", address)
        _, exit_open = measured("leave", address)
        pushes = [line["push"] for line in measured("publish", address)[0]]
    return {
        "case": case,
        "hook": figures.quantiles(trained["hooks"]),
        "finish_s": trained["finish"],
        "exit_finished_s": exit_finished,
        "exit_open_s": exit_open,
        "published_s": statistics.median(pushes) if pushes else None,
        "published_calls": len(pushes),
    }


def table(result: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = [
        f"{result['machine']}. A process that does nothing takes {result['exit_nothing_s']:.2f} s to exit.",
        "",
        "| gateway | hook: median | p99 | slowest | `finish` | exit after it | exit without it | `push_to_gateway` |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in result["cases"]:
        hook, published = row["hook"], row["published_s"]
        lines.append(
            f"| {row['case']} | {hook['median_ms']:.2f} ms | {hook['p99_ms']:.2f} ms | {hook['max_ms']:.1f} ms |"
            f" {row['finish_s']:.2f} s | {row['exit_finished_s']:.2f} s | {row['exit_open_s']:.2f} s |"
            f" {f'over {PATIENCE:.0f} s' if published is None else f'{published:.3f} s'} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure every case, or run one part of a case."""
    parser = argparse.ArgumentParser(description="Measure what each fault of a gateway costs a training run.")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--write", action="store_true", help="write the table into docs/never-hurt.md")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--address", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        play(options.part, options.address)
        return
    result = {
        "machine": figures.machine(),
        "exit_nothing_s": measured("nothing")[1],
        "cases": [measure(case) for case in CASES],
    }
    print(table(result))
    figures.write_json(options.json, result)
    if options.write:
        figures.write_page("faults", table(result))


if __name__ == "__main__":
    main()
