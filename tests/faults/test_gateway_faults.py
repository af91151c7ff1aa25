"""What a gateway, and the network in front of it, may do to a training: nothing."""

from __future__ import annotations

import contextlib
import functools
import gc
import io
import itertools
import logging
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from faults import left
from faults import proxy as proxies
from faults.left import sending
from faults.proxy import Proxy, proxying
from gangplank import ConfigurationError, DeliveryError, Run
from gangplank.cli.groups import read
from gangplank.cli.holdings import Holdings
from gangplank.core import outbox, report
from gangplank.core.info import INFO_LABELS, known_info
from gangplank.core.naming import RESERVED_LABELS
from gangplank.testing.gateway import Gateway
from reading import eventually, samples, value
from servers import Prometheus, Server, free_port, prometheus, pushgateway

METRICS = {f"metric_{index}": index / 3 for index in range(20)}
TIMEOUT = FLUSH_TIMEOUT = 0.5
# A name that no test may resolve for real.
NAME = "gateway.invalid"


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Deliver to nowhere, after each test, what is still on its way."""
    left.begin()
    yield
    left.deliver_to_nowhere(monkeypatch)


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def switches() -> tuple[int, int]:
    """Return how often this thread has lost its processor: to another one, and because it waited for something."""
    usage = resource.getrusage(resource.RUSAGE_THREAD)
    return usage.ru_nivcsw, usage.ru_nvcsw


def hooks_are_quick(run: Run, epochs: int = 150) -> dict[str, float]:
    """Train, at some hundred epochs a second, and hold every hook to the bounds.

    A slow call that never waited, for no lock and no socket, and from which the kernel took the processor meanwhile,
    says only that the machine is busy.
    """
    calls = []
    gc.collect()
    gc.freeze()  # what other tests have left is not collected in the middle of a hook
    try:
        for index in range(epochs):
            for hook in (
                run.begin_epoch,
                functools.partial(run.record, METRICS, step=2 * index),
                functools.partial(run.record, METRICS, epoch=index, step=2 * index + 1),
            ):
                lost, waited = switches()
                took = timed(hook)
                lost, waited = switches()[0] - lost, switches()[1] - waited
                calls.append((took, lost > 0 and not waited))
            time.sleep(0.004)
    finally:
        gc.unfreeze()
    counted = sorted(took for took, robbed in calls if took < 0.005 or not robbed)
    assert len(counted) >= 0.97 * len(calls), "this machine is too busy to time anything"
    p99 = statistics.quantiles(counted, n=100)[98]
    assert p99 < 0.005
    assert counted[-1] <= 0.05
    return {"p50": statistics.median(counted), "p99": p99, "max": counted[-1]}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [entry.getMessage() for entry in caplog.records if entry.levelno >= logging.WARNING]


# Rows 1 to 5: each fault in front of a real gateway, and how it ends


@dataclass
class Fault:
    """A fault that holds, and what ends it.

    Attributes:
        address: what the user wrote.
        heal: makes the gateway reachable and well again.
        reason: the label that a failed push is counted under.
        said: what an exception and a log line say, as a pattern.
        gateway: the one behind it; None while there is none.
        late: seconds beyond the timeout that a strict run may wait.
        fails: whether a push ends; else it waits for something that has no end, and is out of reach once that ended.
    """

    address: str
    heal: Callable[[], object]
    reason: str
    said: str
    gateway: Server
    late: float = 0.5
    fails: bool = True


def hangs(gateway: Server, proxy: Proxy, stack: contextlib.ExitStack, folder: Path) -> Fault:
    gateway.freeze()
    stack.callback(gateway.thaw)
    return Fault(gateway.address, gateway.thaw, "timeout", r"did not answer within 0\.5 s", gateway)


def is_down(gateway: Server, proxy: Proxy, stack: contextlib.ExitStack, folder: Path) -> Fault:
    gateway.stop()
    fault = Fault(gateway.address, lambda: None, "unreachable", "is out of reach: .*Connection refused", gateway)

    def heal() -> None:
        fault.gateway = stack.enter_context(pushgateway(folder, port=gateway.port))

    fault.heal = heal
    return fault


PANICS = r"hung up: it is a Pushgateway 1\.11\.0, which panics where it refuses a page"


def rejects(
    gateway: Server,
    proxy: Proxy,
    stack: contextlib.ExitStack,
    folder: Path,
    said: str = r"answered 400: .*gangplank_train_metric_0",
) -> Fault:
    put(gateway, "other", "# TYPE gangplank_train_metric_0 counter\ngangplank_train_metric_0 1\n")
    heal = functools.partial(put, gateway, "other", "unrelated 1\n")
    return Fault(gateway.address, heal, "rejected", said, gateway)


def panics(gateway: Server, proxy: Proxy, stack: contextlib.ExitStack, folder: Path) -> Fault:
    """It refuses the page, and is Debian 13's."""
    return rejects(stack.enter_context(pushgateway(folder, generation="debian13")), proxy, stack, folder, PANICS)


def behind(behaviour: proxies.Behaviour, reason: str, said: str) -> Callable[..., Fault]:
    """Return a fault of the proxy's."""

    def make(gateway: Server, proxy: Proxy, stack: contextlib.ExitStack, folder: Path) -> Fault:
        proxy.behaviour = behaviour

        def heal() -> None:
            proxy.behaviour = proxies.passes

        return Fault(proxy.address, heal, reason, said, gateway)

    return make


def has_no_name(gateway: Server, proxy: Proxy, stack: contextlib.ExitStack, folder: Path) -> Fault:
    """Its name is never resolved: nothing can interrupt that, so a strict run waits a second longer."""
    resolver = stack.enter_context(resolving_never())
    return Fault(
        f"{NAME}:{gateway.port}", resolver.set, "timeout", r"took nothing within 1\.5 s", gateway, 1.5, fails=False
    )


@contextlib.contextmanager
def resolving_never() -> Iterator[threading.Event]:
    """Have no answer to where NAME is, until the event is set (or the block ends): then it is here."""
    release, resolve = threading.Event(), socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        if host == NAME:
            release.wait(60)
            host = "127.0.0.1"
        return resolve(host, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        try:
            yield release
        finally:
            release.set()


def put(gateway: Server, job: str, page: str) -> None:
    """Push, as another job of the team does."""
    request = urllib.request.Request(f"{gateway.url}/metrics/job/{job}", page.encode(), method="PUT")
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10).close()


LATE = r"did not answer within 0\.5 s"
FAULTS = {
    "hangs": hangs,
    "refuses": is_down,
    "answers 400": rejects,
    "answers 404": behind(proxies.answers("404 Not Found", "no such page"), "rejected", "answered 404: no such page"),
    "answers 503": behind(proxies.answers("503 Unavailable", "busy\n"), "server_error", "answered 503: busy"),
    "redirects": behind(proxies.answers("307 Temporary Redirect", "", "Location: /a"), "rejected", "answered 307"),
    "is slow": behind(proxies.is_slow(2.0), "timeout", LATE),
    "drips": behind(proxies.drips, "timeout", LATE),
    "is half open": behind(proxies.is_silent, "timeout", LATE),
    "resets the request": behind(proxies.resets_the_request, "unreachable", "is out of reach: .*reset"),
    "resets the answer": behind(proxies.resets_the_answer, "unreachable", "is out of reach: .*reset"),
    "has no name": has_no_name,
    "panics": panics,
    "panics, as a stand-in": behind(proxies.hangs_up("1.11.0"), "rejected", PANICS),
    "answers half": behind(
        proxies.hangs_up("1.11.0", b"HTTP/1.1 200 OK\r\n"), "unreachable", "is out of reach: .*in its head"
    ),
    "hangs up": behind(proxies.hangs_up("1.11.2"), "unreachable", "is out of reach: .*without response"),
}


@pytest.fixture
def proxy(gateway: Server) -> Iterator[Proxy]:
    """A proxy in front of the gateway, a good one so far."""
    with proxying(gateway.port, proxies.passes) as proxy:
        yield proxy


@pytest.fixture(params=FAULTS)
def fault(request: pytest.FixtureRequest, gateway: Server, proxy: Proxy, tmp_path: Path) -> Iterator[Fault]:
    """One of the faults, which holds until the test heals it."""
    with contextlib.ExitStack() as stack:
        yield FAULTS[request.param](gateway, proxy, stack, tmp_path)


def test_no_hook_waits_and_the_newest_arrives_when_all_is_well(
    fault: Fault, caplog: pytest.LogCaptureFixture, record_property: Callable[[str, object], None]
) -> None:
    """Rows 1 to 5, after the run has ended: the page that arrives in the end says how often it failed to."""
    run = Run(fault.address, "digits", timeout=TIMEOUT, flush_timeout=FLUSH_TIMEOUT)
    record_property("start", timed(lambda: run.start(epochs=150)))
    for name, seconds in hooks_are_quick(run).items():
        record_property(name, seconds)
    assert len(sending()) == 1
    assert timed(run.finish) < FLUSH_TIMEOUT + 0.25
    again = run.phase("test")
    assert timed(lambda: again.record(METRICS)) < 0.05
    assert timed(again.finish) < 0.1  # the second one does not wait
    assert len(sending()) == 1
    said = warnings(caplog)
    failed = [line for line in said if "did not arrive" in line]
    waiting = [line for line in said if "have not arrived yet" in line]
    assert len(said) == len(failed) + len(waiting)
    assert len(waiting) <= 1
    assert len(failed) == fault.fails
    assert re.search(f"http://{fault.address} ({fault.said}|took nothing within 0.5 s)", said[0])

    fault.heal()
    healed = time.monotonic()
    eventually(lambda: value(fault.gateway, "gangplank_run_state", state="finished", phase="train") == 1, timeout=30)
    took = time.monotonic() - healed
    eventually(lambda: not sending(), timeout=30)  # all is settled
    for phase in ("train", "test"):
        assert value(fault.gateway, "gangplank_run_state", state="finished", phase=phase) == 1
        assert value(fault.gateway, f"gangplank_{phase}_metric_3", phase=phase) == 1
    reason = fault.reason if fault.fails else "unreachable"
    failures = value(fault.gateway, "gangplank_run_export_failures_total", phase="train", reason=reason)
    assert failures
    total = sum(s.value for s in samples(fault.gateway.metrics(), "gangplank_run_export_failures_total", phase="train"))
    assert total == failures
    # The last step of the backoff: 0.2 s, doubled with every failure.
    assert took < 0.2 * 2 ** (total - 1) + 1
    record_property("back after", took)


def test_a_strict_run_ends_within_the_deadline_and_says_where_and_why(fault: Fault) -> None:
    run = Run(fault.address, "digits", timeout=TIMEOUT, ignore_exceptions=False)
    raised = []

    def train() -> None:
        try:
            run.record(METRICS, epoch=0)
        except DeliveryError as error:
            raised.append(error)

    assert timed(train) < TIMEOUT + fault.late
    assert re.search(f"http://{fault.address} {fault.said}", str(raised[0]))
    assert raised[0].reason == fault.reason


def test_a_run_that_goes_on_is_there_again_soon_after_the_gateway(tmp_path: Path) -> None:
    port = free_port()
    run = Run(f"127.0.0.1:{port}", "digits")
    start = time.monotonic()
    for epoch in range(40):
        run.record({"loss": 1 / (epoch + 1)}, epoch=epoch)
        time.sleep(0.02)
    outage = time.monotonic() - start
    with pushgateway(tmp_path, port=port) as gateway:
        back = time.monotonic()
        run.record({"loss": 0.125}, epoch=40)
        eventually(lambda: value(gateway, "gangplank_train_loss") == 0.125)
        # Of all steps so far, jitter has left half at least; the next one is as long as all of them and 0.2 s more.
        assert time.monotonic() - back < 2 * outage + 0.2 + 1
        failures = value(gateway, "gangplank_run_export_failures_total", reason="unreachable") or 0
        assert time.monotonic() - back < 0.2 * 2 ** (failures - 1) + 1
        assert value(gateway, "gangplank_run_state", state="running") == 1
        run.finish()


def test_the_backoff_doubles_with_jitter_up_to_its_cap(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (outbox.FIRST_BACKOFF, outbox.LONGEST_BACKOFF) == (0.2, 60.0)
    monkeypatch.setattr(outbox, "LONGEST_BACKOFF", 0.4)
    proxy.behaviour = proxies.answers("503 Unavailable")
    run = Run(proxy.address, "digits")
    run.start()
    eventually(lambda: len(proxy.accepted) == 6)
    gaps = [later - earlier for earlier, later in itertools.pairwise(proxy.accepted)]
    for gap, step in zip(gaps, (0.2, 0.4, 0.4, 0.4, 0.4), strict=True):
        assert step / 2 <= gap < step + 0.15


# Row 1: a gateway that hangs


def test_a_hung_gateway_is_waited_for_again_after_it_was_well(gateway: Server) -> None:
    run = Run(gateway.address, "digits", timeout=TIMEOUT, flush_timeout=FLUSH_TIMEOUT)

    def finish() -> float:
        nonlocal run
        run = run.phase("train")
        run.record({"loss": 0.5}, epoch=0)
        return timed(run.finish)

    def arrived() -> bool:
        return value(gateway, "gangplank_run_state", state="finished", run=run.name or "") == 1 and not sending()

    assert finish() < FLUSH_TIMEOUT
    assert arrived()
    for _ in range(2):
        gateway.freeze()
        assert FLUSH_TIMEOUT * 0.9 <= finish() < FLUSH_TIMEOUT + 0.25
        for _ in range(3):
            assert finish() < 0.1
        gateway.thaw()
        eventually(arrived)


def test_an_old_page_that_arrives_late_does_not_stay(gateway: Server, proxy: Proxy) -> None:
    """A hung gateway that goes on takes what waits in its queue, and in no order: 1 in 25 hung runs ended like this."""
    held: list[bytes] = []
    proxy.behaviour = proxies.holds(held)
    run = Run(proxy.address, "digits", timeout=0.3)
    run.record({"loss": 0.5}, epoch=0)
    eventually(lambda: held)
    proxy.behaviour = proxies.passes
    run.record({"loss": 0.25}, epoch=1)
    run.finish()
    eventually(lambda: value(gateway, "gangplank_run_state", state="finished") == 1)
    with proxy.upstream() as there:
        there.sendall(held[0])
        assert there.recv(65536).startswith(b"HTTP/1.1 200")
    eventually(lambda: value(gateway, "gangplank_run_state", state="finished") == 1)
    assert value(gateway, "gangplank_train_loss") == 0.25


# Row 24: only a 1.11.0 that still answers has panicked


@pytest.mark.parametrize("then", [proxies.resets_the_request, proxies.is_silent, proxies.answers("200 OK", "1.11.0")])
def test_a_gateway_that_hangs_up_and_says_no_version_is_out_of_reach(proxy: Proxy, then: proxies.Behaviour) -> None:
    def hangs_up_first(peer: socket.socket, proxy: Proxy) -> None:
        proxy.behaviour = then
        proxies.read_request(peer)

    proxy.behaviour = hangs_up_first
    run = Run(proxy.address, "digits", timeout=TIMEOUT, ignore_exceptions=False)
    begun = time.monotonic()
    with pytest.raises(DeliveryError, match=r"is out of reach: .*without response") as raised:
        run.record(METRICS, epoch=0)
    assert raised.value.reason == "unreachable"
    assert time.monotonic() - begun < TIMEOUT + 0.5
    assert len(proxy.accepted) == 2


def test_what_is_asked_after_a_hang_up_has_the_credentials(proxy: Proxy) -> None:
    asked: list[bytes] = []

    def hangs_up(peer: socket.socket, proxy: Proxy) -> None:
        asked.append(proxies.read_request(peer))

    proxy.behaviour = hangs_up
    run = Run(f"http://u:p@{proxy.address}/prefix", "digits", timeout=TIMEOUT, ignore_exceptions=False)
    with pytest.raises(DeliveryError):
        run.record(METRICS, epoch=0)
    assert asked[1].startswith(b"GET /prefix/api/v1/status HTTP/1.1\r\n")
    assert b"Authorization: Basic dTpw\r\n" in asked[1]


# Row 2: what the log says


@pytest.mark.parametrize("status", ["400 Bad Request", "500 Internal Server Error", "302 Found"])
def test_one_line_a_minute_with_the_beginning_of_the_reason(
    proxy: Proxy, status: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LONGEST_BACKOFF", 0.02)
    caplog.set_level(logging.INFO, "gangplank")
    reason = "".join(f"{index:04}" for index in range(100))
    proxy.behaviour = proxies.answers(status, reason)
    run = Run(proxy.address, "digits")
    run.start()
    eventually(lambda: len(proxy.accepted) > 20)
    (said,) = warnings(caplog)
    assert f"answered {status[:3]}: {reason[:200]}" in said
    assert reason[196:204] not in said
    assert "phase='train'" in said

    monkeypatch.setattr(report, "QUIET_SECONDS", 0.0)  # the minute is over
    eventually(lambda: len(warnings(caplog)) > 1)
    monkeypatch.undo()
    counted = re.search(r"answered .*\((\d+) more like it since the last line\)$", warnings(caplog)[1])
    assert counted
    assert 19 <= int(counted[1]) <= len(proxy.accepted)

    proxy.behaviour = proxies.answers("200 OK")
    run.finish()
    eventually(lambda: any("arrive again" in entry.getMessage() for entry in caplog.records))


def test_each_cause_has_a_line_of_its_own(
    proxy: Proxy, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LONGEST_BACKOFF", 0.02)
    run = Run(proxy.address, "digits", timeout=0.2)
    for behaviour in (
        *(proxies.answers("400 Bad Request"), proxies.answers("502 Bad Gateway")),
        *(proxies.resets_the_request, proxies.is_silent),
    ):
        proxy.behaviour = behaviour
        run.start()
        seen = len(proxy.accepted)
        eventually(lambda seen=seen: len(proxy.accepted) > seen + 2)  # type: ignore[misc]
    causes = [re.search(r"answered \d+|out of reach|did not answer", line) for line in warnings(caplog)]
    assert [found and found[0] for found in causes] == [
        "answered 400",
        "answered 502",
        "out of reach",
        "did not answer",
    ]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(proxy: Proxy, tmp_path: Path, status: int) -> None:
    with pushgateway(tmp_path) as elsewhere:
        target = f"Location: {elsewhere.url}/metrics/job/digits/phase/train"
        proxy.behaviour = proxies.answers(f"{status} Moved", "go away", target)
        run = Run(f"http://me:secret@{proxy.address}", "digits", ignore_exceptions=False)
        with pytest.raises(DeliveryError, match=f"answered {status}: go away"):
            run.start()
        assert "gangplank" not in elsewhere.metrics()


# Row 3: a handler of the user's


def test_a_handler_that_hangs_holds_one_thread_and_no_training(caplog: pytest.LogCaptureFixture) -> None:
    release, calls = threading.Event(), []

    def handler(url: str, method: str, timeout: float | None, headers: list[Any], data: bytes) -> Callable[[], None]:
        calls.append((timeout, data))

        def send() -> None:
            release.wait(60)

        return send

    run = Run("gateway:1", "digits", handler=handler, timeout=TIMEOUT, flush_timeout=FLUSH_TIMEOUT)
    try:
        finishes = []
        for phase in ("train", "validate", "test", "train", "predict"):
            run = run.phase(phase)
            hooks_are_quick(run, epochs=30)
            finishes.append(timed(run.finish))
            assert len(sending()) == 1
        assert finishes[0] < FLUSH_TIMEOUT + 0.25
        assert max(finishes[1:]) < 0.1
        assert [timeout for timeout, _ in calls] == [TIMEOUT]
        strict = Run("gateway:1", "digits", handler=handler, timeout=TIMEOUT, ignore_exceptions=False)
        with pytest.raises(DeliveryError, match=r"http://gateway:1 took nothing within 1\.5 s"):
            strict.start()
    finally:
        release.set()
    eventually(lambda: [data for _, data in calls if b'state="finished"' in data and b"gangplank_predict" in data])


# Row 4: a name that nobody resolves


def test_a_name_that_is_never_resolved_holds_one_thread(gateway: Server) -> None:
    with resolving_never() as resolver:
        run = Run(f"{NAME}:{gateway.port}", "digits", timeout=TIMEOUT, flush_timeout=0.1)
        for phase in ("train", "validate", "test", "train", "predict"):
            run = run.phase(phase)
            hooks_are_quick(run, epochs=20)
            run.finish()
            assert len(sending()) == 1
        resolver.set()
        eventually(lambda: value(gateway, "gangplank_run_state", state="finished", phase="predict") == 1)


# Row 6: the end of the process

SCRIPT = """
import socket, time, threading
import gangplank
{first}
run = gangplank.Run("{address}", "digits")
run.record({{"loss": 0.5}}, epoch=0)
{then}
print(time.monotonic(), flush=True)
"""


def seconds_to_exit(address: str, *, first: str = "", then: str = "") -> float:
    """Run a script, and return how long its process lived after its last line."""
    code = SCRIPT.format(address=address, first=textwrap.dedent(first), then=textwrap.dedent(then))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    end = time.monotonic()
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return end - float(done.stdout)


ENDS = pytest.mark.parametrize("then", ["", "run.finish()", "run.finish(); run = run.phase('test'); run.record()"])


@ENDS
def test_a_process_that_ends_leaves_its_last_value(gateway: Server, then: str) -> None:
    then = f"run.record({{'loss': 0.25}}, epoch=1)\n{then}"
    assert seconds_to_exit(gateway.address, then=then) < 0.5
    assert value(gateway, "gangplank_train_loss", phase="train") == 0.25
    assert value(gateway, "gangplank_run_state", phase="train", state="running") == 0


@ENDS
def test_a_process_ends_at_once_where_the_gateway_is_down(then: str) -> None:
    assert seconds_to_exit(f"127.0.0.1:{free_port()}", then=then) < 0.5


@ENDS
def test_a_process_ends_soon_where_the_gateway_hangs(gateway: Server, then: str) -> None:
    gateway.freeze()
    assert seconds_to_exit(gateway.address, then=then) < 2.5


def test_several_exporters_are_waited_for_together(gateway: Server) -> None:
    gateway.freeze()
    then = f"""
        others = [gangplank.Run("{gateway.address}", f"job {{index}}") for index in range(4)]
        for other in others:
            other.record({{"loss": 0.5}}, epoch=0)
            other.phase("test").record({{"loss": 0.5}})
    """
    assert seconds_to_exit(gateway.address, then=then) < 2.5


def test_a_process_ends_soon_where_a_name_is_never_resolved() -> None:
    first = "socket.getaddrinfo = lambda *_, **__: threading.Event().wait()"
    assert seconds_to_exit(f"{NAME}:9091", first=first) < 2.5


def test_a_process_ends_soon_where_a_gateway_drips(proxy: Proxy) -> None:
    proxy.behaviour = proxies.drips
    assert seconds_to_exit(proxy.address) < 2.5


# Row 11: memory


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_and_threads_are_flat_over_1e5_updates_with_the_gateway_down(
    caplog: pytest.LogCaptureFixture, record_property: Callable[[str, object], None]
) -> None:
    run = Run(f"127.0.0.1:{free_port()}", "digits")

    def train(first: int, last: int) -> None:
        for index in range(first, last):
            run.record({"loss": index / 3, "accuracy": index / 7}, epoch=index, step=index)

    train(0, 5_000)
    gc.collect()
    before, threads = resident(), threading.active_count()
    train(5_000, 105_000)
    gc.collect()
    record_property("grown", grown := resident() - before)
    assert grown < 5 * 2**20  # 52 bytes an update
    assert threading.active_count() == threads
    assert len(warnings(caplog)) <= 2  # one a minute
    run.finish()


def test_memory_is_flat_whatever_new_names_each_step_brings(gateway: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is dropped is counted, and not remembered for ever."""
    monkeypatch.setattr(report.log, "disabled", True)  # pytest keeps what is logged
    run = Run(gateway.address, "digits")

    def train(first: int, last: int) -> None:
        for index in range(first, last):
            run.record({f"metric {index}": 1.0, f"text {index}": "text"}, step=index)

    train(0, 3_000)
    gc.collect()
    before = resident()
    train(3_000, 30_000)
    gc.collect()
    assert resident() - before < 5 * 2**20
    run.finish()
    text = gateway.metrics()
    assert text.count("\ngangplank_") < 2_000
    assert value(gateway, "gangplank_run_dropped_metrics_total", reason="too_many") == 30_000 - 800
    assert value(gateway, "gangplank_run_dropped_metrics_total", reason="not_numeric") == 30_000


def test_a_page_is_capped_whatever_it_is_of(gateway: Server) -> None:
    with Run(gateway.address, "digits") as run:
        for epoch in range(30):
            run.record({"loss": 0.5}, epoch=epoch, learning_rates={f"{epoch}/{index}": 0.1 for index in range(150)})
    assert gateway.metrics().count("\ngangplank_") <= 2_000
    assert value(gateway, "gangplank_run_dropped_metrics_total", reason="too_many")


# Row 13: a name that another job has taken


def test_a_name_of_another_type_elsewhere_is_reported_once_and_costs_this_group_only(
    gateway: Server, caplog: pytest.LogCaptureFixture
) -> None:
    put(gateway, "other", "# TYPE gangplank_train_loss counter\ngangplank_train_loss 1\n")
    run = Run(gateway.address, "digits")
    for _ in range(2):
        run = run.phase("train")
        hooks_are_quick(run, epochs=5)
        run.record({"loss": 0.5}, epoch=9)
        run.finish()
        test = run.phase("test")
        test.record({"loss": 0.25})
        test.finish()
    eventually(lambda: value(gateway, "gangplank_test_loss", job="digits") == 0.25)
    assert value(gateway, "gangplank_run_state", phase="test", state="finished") == 1
    assert value(gateway, "gangplank_train_loss", job="digits") is None
    (said,) = warnings(caplog)
    assert re.search(r"phase='train' did not arrive.* answered 400: .*gangplank_train_loss", said)
    assert list(samples(gateway.metrics(), "gangplank_train_loss_total", job="other"))
    put(gateway, "other", "unrelated 1\n")
    eventually(lambda: value(gateway, "gangplank_train_loss", job="digits") == 0.5)


# Row 15: two runs of one job at once

SEVERAL_RUN = 'count without (run) (last_over_time(gangplank_run_state{state="running"}[1m]) == 1) > 1'
TURNED_BACK = "resets(max without (run) (gangplank_run_start_timestamp_seconds)[1m:250ms]) > 0"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Prometheus]]:
    """A gateway, and a Prometheus that scrapes it; each test has a job of its own there."""
    folder = tmp_path_factory.mktemp("watched")
    with pushgateway(folder) as server, prometheus(folder, server.address) as database:
        yield server, database


def fires(database: Prometheus, rule: str, job: str) -> list[float]:
    """Return the values that a rule has for a job now."""
    return [value for labels, value in database.query(rule) if (labels["job"], labels["phase"]) == (job, "train")]


@pytest.mark.parametrize("concurrent", [False, True])
def test_two_runs_of_a_job_at_once_can_be_seen(watched: tuple[Server, Prometheus], concurrent: bool) -> None:
    """Two ways to see it in Prometheus.

    SEVERAL_RUN: several `run` values of one group said `running` last, within a minute. Also true, for that minute,
    where a run was killed and another one took its place; and it counts concurrent runs, which are several by intent.

    TURNED_BACK: the group's start went back: an older run has pushed after a newer one. True only where both live, and
    never for concurrent runs, whose `max without (run)` only ever grows. The step of the subquery (250 ms here) is the
    scrape interval.
    """
    server, database = watched
    job = f"two, concurrent={concurrent}"
    runs = [Run(server.address, job, concurrent=concurrent) for _ in range(2)]
    names = set()
    for epoch, run in itertools.product(range(3), runs):
        run.record({"loss": runs.index(run)}, epoch=epoch)
        assert run.name
        names.add(run.name)
        database.await_query(f'gangplank_run_epoch{{run="{run.name}"}} == {epoch + 1}')
        # The newer push is what the gateway holds, all of it.
        held = {sample.labels["run"] for sample in samples(server.metrics(), "gangplank_train_loss", job=job)}
        assert held == (names if concurrent else {run.name})
    assert eventually(lambda: fires(database, SEVERAL_RUN, job)) == [2]
    if concurrent:
        assert fires(database, TURNED_BACK, job) == []
    else:
        assert eventually(lambda: fires(database, TURNED_BACK, job))[0] >= 1
    for run in runs:
        run.finish()
    losses = {s.labels["run"]: s.value for s in samples(server.metrics(), "gangplank_train_loss", job=job)}
    assert losses == {run.name: loss for loss, run in enumerate(runs) if concurrent or run is runs[1]}


def test_runs_of_a_job_one_after_the_other_are_not_taken_for_two_at_once(watched: tuple[Server, Prometheus]) -> None:
    server, database = watched
    run = Run(server.address, "one")
    for _ in range(3):
        run = run.phase("train")
        run.record({"loss": 1}, epoch=0)
        database.await_query(f'gangplank_run_state{{run="{run.name}", state="running"}} == 1')
        run.finish()
        database.await_query(f'gangplank_run_state{{run="{run.name}", state="finished"}} == 1')
    assert fires(database, SEVERAL_RUN, "one") == []
    assert fires(database, TURNED_BACK, "one") == []


# Row 19: labels that are refused


@pytest.mark.parametrize("label", sorted({*RESERVED_LABELS, *INFO_LABELS, "__name__", "__x", "mine"}))
def test_a_label_that_would_break_a_page_is_refused_with_the_cure(label: str) -> None:
    with pytest.raises(ConfigurationError, match=f"grouping_key: .*'{label}'.*rename it"):
        Run("gateway:1", "digits", grouping_key={label: "x"}, info={"mine": "x"})


@pytest.mark.parametrize("label", sorted({*RESERVED_LABELS, "__name__", "__x"}))
def test_a_label_that_would_break_the_info_is_refused_with_the_cure(label: str) -> None:
    with pytest.raises(ConfigurationError, match=f"info: .*'{label}'.*rename it"):
        Run("gateway:1", "digits", info={label: "x"})


# Row 23: hostile text

HOSTILE = {
    "lines": 'a\nb\r\n# TYPE gangplank_train_loss counter\ngangplank_train_loss{job="x"} 666\n',
    "quotes": 'a"} 666\ngangplank_train_evil{b="\\',
    "escapes": "a\x1b[31mred\x1b]0;title\x07\x9b2J\u202e\u2028b",
    "markup": "[bold red]a[/] [/nothing] [link=http://x]y",
    "long": "a" * 10_000,
    "nul": "a\x00b",
    "slashes": "../../a//b/./%2e%2e/?x=1#y",
}
SURROGATE = "a\udcffb"
hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


def placed(where: str, text: str) -> dict[str, Any]:
    """Return the arguments of a run that has a text somewhere."""
    options: dict[str, Any] = {"job": "digits"}
    if where == "info":
        options["info"] = {"note": text}
    elif where == "grouping_key":
        options["grouping_key"] = {"team": text}
    elif where in {"job", "run"}:
        options[where] = text
    return options


def is_quiet(line: str) -> bool:
    """Return whether a line is one line, and does nothing to a terminal."""
    return line.isprintable()


@hostile
@pytest.mark.parametrize("where", ["metric", "info", "grouping_key", "job", "run", "optimizer"])
def test_hostile_text_is_a_value_and_no_more(
    gateway: Server, where: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = placed(where, text)
    with Gateway() as embedded:
        for address in (gateway.address, embedded.address):
            with Run(address, ignore_exceptions=False, **options) as run:
                run.record(
                    {text if where == "metric" else "accuracy": 0.25, "loss": 0.5},
                    epoch=0,
                    learning_rates={text if where == "optimizer" else "sgd": 0.1},
                )
        pages = (gateway.metrics(), embedded.metrics())
    for page in pages:
        (loss,) = samples(page, "gangplank_train_loss")
        (info,) = samples(page, "gangplank_run_info")
        (rate,) = samples(page, "gangplank_train_learning_rate")
        found = {
            "info": info.labels.get("note"),
            "grouping_key": loss.labels.get("team"),
            "job": loss.labels["job"],
            "run": loss.labels["run"],
            "optimizer": rate.labels["optimizer"],
        }
        assert loss.value == 0.5
        assert found.get(where, text) == text
        assert "666" not in {line.rpartition(" ")[2] for line in page.splitlines() if not line.startswith("#")}
        assert not re.search("^gangplank_train_evil", page, re.MULTILINE)
        gauges = set(re.findall(r"^(gangplank_train_\w+){", page, re.MULTILINE))
        assert len(gauges) == 4  # two metrics, elapsed time, learning rate
        for family in gauges:
            assert len(family) < 200
    assert all(is_quiet(line) for line in warnings(caplog))


@pytest.mark.parametrize("where", ["info", "grouping_key", "job", "run"])
def test_what_is_no_unicode_is_refused_before_any_training(where: str) -> None:
    options = placed(where, SURROGATE)
    with pytest.raises(ConfigurationError, match="surrogate") as raised:
        Run("gateway:1", **options)
    assert is_quiet(str(raised.value))


def test_a_metric_whose_name_is_no_unicode_has_a_name(gateway: Server, caplog: pytest.LogCaptureFixture) -> None:
    with Run(gateway.address, "digits", ignore_exceptions=False) as run:
        run.record({SURROGATE: 0.25, "loss": 0.5}, epoch=0)
    assert value(gateway, "gangplank_train_a_b") == 0.25
    (said,) = warnings(caplog)
    assert is_quiet(said)


def test_an_optimizer_whose_name_is_no_unicode_costs_no_page(gateway: Server) -> None:
    with Run(gateway.address, "digits", ignore_exceptions=False) as run:
        run.record({"loss": 0.5}, epoch=0, learning_rates={SURROGATE: 0.1})
    assert value(gateway, "gangplank_train_loss") == 0.5


@pytest.mark.parametrize("variable", ["LOGNAME", "SLURM_JOB_ID"])
def test_an_environment_that_is_no_unicode_costs_no_page(
    gateway: Server, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, SURROGATE)
    known_info.cache_clear()
    try:
        with Run(gateway.address, "digits", ignore_exceptions=False) as run:
            run.record({"loss": 0.5}, epoch=0)
    finally:
        known_info.cache_clear()
    assert value(gateway, "gangplank_train_loss") == 0.5


@hostile
def test_a_gateways_answer_is_one_quiet_line(proxy: Proxy, text: str, caplog: pytest.LogCaptureFixture) -> None:
    proxy.behaviour = proxies.answers("400 Bad Request", text)
    run = Run(proxy.address, "digits", ignore_exceptions=False)
    with pytest.raises(DeliveryError, match="answered 400") as raised:
        run.start()
    (said,) = warnings(caplog)
    for line in (said, str(raised.value)):
        assert is_quiet(line)
        assert len(line) < 500


@pytest.mark.parametrize("status", ["\x1b[31m 666", "400 \x1b[31mred\x07", "200\x1b[31m OK"])
def test_a_status_line_is_quiet_too(proxy: Proxy, status: str, caplog: pytest.LogCaptureFixture) -> None:
    proxy.behaviour = proxies.answers(status)
    run = Run(proxy.address, "digits", ignore_exceptions=False)
    with pytest.raises(DeliveryError) as raised:
        run.start()
    (said,) = warnings(caplog)
    assert is_quiet(said)
    assert is_quiet(str(raised.value))


@hostile
def test_what_is_said_of_a_metric_or_a_failure_is_one_quiet_line(
    text: str, caplog: pytest.LogCaptureFixture, proxy: Proxy
) -> None:
    proxy.behaviour = proxies.answers("400 Bad Request", "no")
    run = Run(proxy.address, text, grouping_key={"team": text}, metrics=[text, f"{text} two", f"{text} three"])
    run.record({text: 0.5, f"{text} two": "no number"}, epoch=0)
    run.finish()
    said = warnings(caplog)
    assert len(said) >= 3
    assert all(is_quiet(line) and len(line) < 1_500 for line in said)


@pytest.mark.parametrize(
    "text",
    [
        *(HOSTILE[name] for name in ("lines", "quotes", "escapes", "nul")),
        HOSTILE["markup"],
    ],
)
def test_a_table_shows_hostile_text_as_text(gateway: Server, text: str) -> None:
    with Run(gateway.address, "digits", grouping_key={"team": text}, ignore_exceptions=False) as run:
        run.record({"loss": 0.5}, epoch=0, learning_rates={text: 0.125})
    put(
        gateway,
        "digits/phase/train/k/v",
        f'# TYPE gangplank_run_state gauge\ngangplank_run_state{{state="{_label(text)}"}} 1\n',
    )
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system=None, width=400)
    console.print(Holdings(read(gateway.metrics())).table())
    for line in out.getvalue().splitlines():
        assert is_quiet(line.replace("\x1b[1m", "").replace("\x1b[0m", ""))  # rich's own bold
        assert line.strip() == "" or line.lstrip().startswith(("gangplank_...", "─", "run_", "<phase>_"))
    assert "<phase>_loss" in out.getvalue()


def _label(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
