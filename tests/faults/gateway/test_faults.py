"""What a gateway, and the network in front of it, may do to a training: nothing."""

from __future__ import annotations

import itertools
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gangplank
from gangplank import DeliveryError
from gangplank.core.delivery import outbox
from gangplank.core.lifecycle import process
from support import proxy as proxies
from support.gateway_faults import FLUSH_TIMEOUT, TIMEOUT, Fault, resolving_never
from support.left import sending
from support.logged import warnings
from support.proxy import Proxy
from support.reading import eventually, samples, value
from support.servers import UNRESOLVED, Server, free_port, pushgateway
from support.timing import METRICS, hooks_are_quick, timed


def test_no_hook_waits_and_the_newest_arrives_when_all_is_well(
    fault: Fault, caplog: pytest.LogCaptureFixture, record_property: Callable[[str, object], None]
) -> None:
    """Rows 1 to 5, after the run has ended: the page that arrives in the end says how often it failed to."""
    exporter = gangplank.Exporter(fault.address, "digits", timeout=TIMEOUT, flush_timeout=FLUSH_TIMEOUT)
    run = exporter.run()
    record_property("start", timed(lambda: run.start(epochs=150)))
    for name, seconds in hooks_are_quick(run).items():
        record_property(name, seconds)
    assert len(sending()) == 1
    assert timed(run.finish) < FLUSH_TIMEOUT + 0.25
    again = exporter.run("test")
    assert timed(lambda: again.record(METRICS)) < 0.05
    assert timed(again.finish) < 0.1  # the second one does not wait
    assert len(sending()) == 1 or not fault.retried
    said = warnings(caplog)
    failed = [line for line in said if "did not arrive" in line]
    waiting = [line for line in said if "have not arrived yet" in line]
    assert len(said) == len(failed) + len(waiting)
    assert len(waiting) <= 1
    assert len(failed) == fault.fails
    assert re.search(f"http://{fault.address} ({fault.said}|accepted nothing within 0.5 s)", said[0])

    if not fault.retried:
        eventually(lambda: not sending())  # the pages that were refused are not sent again
        fault.heal()
        assert value(fault.gateway, "gangplank_run_state", state="finished", phase="train") != 1
        run = exporter.run()
        run.record(METRICS, epoch=0)
        run.finish()
        eventually(lambda: not sending())
        assert value(fault.gateway, "gangplank_run_state", state="finished", phase="train") == 1
        assert value(fault.gateway, "gangplank_train_metric_3", phase="train") == 1
        return
    fault.heal()
    healed = time.monotonic()
    eventually(lambda: value(fault.gateway, "gangplank_run_state", state="finished", phase="train") == 1, timeout=30)
    took = time.monotonic() - healed
    eventually(lambda: not sending(), timeout=30)  # all is settled
    for phase in ("train", "test"):
        assert value(fault.gateway, "gangplank_run_state", state="finished", phase=phase) == 1
        assert value(fault.gateway, f"gangplank_{phase}_metric_3", phase=phase) == 1
    reason = fault.reason if fault.fails else "unreachable"
    labels = {"phase": "train", "destination": f"http://{fault.address}"}
    failures = value(fault.gateway, "gangplank_run_export_failures_total", reason=reason, **labels)
    assert failures
    total = sum(s.value for s in samples(fault.gateway.metrics(), "gangplank_run_export_failures_total", phase="train"))
    assert total == failures
    # The last step of the backoff: 0.2 s, doubled with every failure.
    assert took < 0.2 * 2 ** (total - 1) + 1
    record_property("back after", took)


def test_a_strict_run_ends_within_the_deadline_and_says_where_and_why(fault: Fault) -> None:
    run = gangplank.run(fault.address, "digits", timeout=TIMEOUT, ignore_exceptions=False)
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
    run = gangplank.run(f"127.0.0.1:{port}", "digits")
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
    run = gangplank.run(proxy.address, "digits")
    run.start()
    eventually(lambda: len(proxy.accepted) == 6)
    gaps = [later - earlier for earlier, later in itertools.pairwise(proxy.accepted)]
    for gap, step in zip(gaps, (0.2, 0.4, 0.4, 0.4, 0.4), strict=True):
        assert step / 2 <= gap < step + 0.15


# Row 2: a page that a gateway refuses is sent again when it has changed


def test_a_refused_page_of_a_run_that_has_ended_is_not_sent_again(proxy: Proxy) -> None:
    proxy.behaviour = proxies.answers("400 Bad Request", "no")
    run = gangplank.run(proxy.address, "digits", timeout=TIMEOUT)
    run.record(METRICS, epoch=0)
    run.finish()
    eventually(lambda: not sending())
    tried = len(proxy.accepted)
    assert 1 <= tried <= 3  # the start, the epoch and the end, as far as each was sent by itself
    for sender in process.senders:
        sender.retry_now()
        sender.flush(time.monotonic() + TIMEOUT)
    assert not sending()
    assert len(proxy.accepted) == tried


@pytest.mark.parametrize("change", ["the next epoch", "a heartbeat"])
def test_the_next_page_arrives_after_one_was_refused(
    gateway: Server, proxy: Proxy, change: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if change == "a heartbeat":
        monkeypatch.setattr(outbox, "HEARTBEAT", 0.1)
    proxy.behaviour = proxies.answers("400 Bad Request", "no")
    run = gangplank.run(proxy.address, "digits", timeout=TIMEOUT)
    run.record({"loss": 0.5}, epoch=0)
    eventually(lambda: warnings(caplog))
    assert "did not arrive, will be sent again when they have changed: " in warnings(caplog)[0]
    proxy.behaviour = proxies.passes
    if change == "the next epoch":
        run.record({"loss": 0.25}, epoch=1)
    loss = 0.25 if change == "the next epoch" else 0.5
    eventually(lambda: value(gateway, "gangplank_train_loss") == loss)
    assert value(gateway, "gangplank_run_export_failures_total", reason="rejected")
    run.finish()


# Row 1: a gateway that hangs


def test_a_hung_gateway_is_waited_for_again_after_it_was_well(gateway: Server) -> None:
    exporter = gangplank.Exporter(gateway.address, "digits", timeout=TIMEOUT, flush_timeout=FLUSH_TIMEOUT)
    run = exporter.run()

    def finish() -> float:
        nonlocal run
        run = exporter.run()
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
    run = gangplank.run(proxy.address, "digits", timeout=0.3)
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
    run = gangplank.run(proxy.address, "digits", timeout=TIMEOUT, ignore_exceptions=False)
    begun = time.monotonic()
    with pytest.raises(DeliveryError, match=r"is unreachable: .*without response") as raised:
        run.record(METRICS, epoch=0)
    assert raised.value.reason == "unreachable"
    assert time.monotonic() - begun < TIMEOUT + 0.5
    assert len(proxy.accepted) == 2


def test_what_is_asked_after_a_hang_up_has_the_credentials(proxy: Proxy) -> None:
    asked: list[bytes] = []

    def hangs_up(peer: socket.socket, proxy: Proxy) -> None:
        asked.append(proxies.read_request(peer))

    proxy.behaviour = hangs_up
    run = gangplank.run(f"http://u:p@{proxy.address}/prefix", "digits", timeout=TIMEOUT, ignore_exceptions=False)
    with pytest.raises(DeliveryError):
        run.record(METRICS, epoch=0)
    assert asked[1].startswith(b"GET /prefix/api/v1/status HTTP/1.1\r\n")
    assert b"Authorization: Basic dTpw\r\n" in asked[1]


# Row 3: a handler of the user's


def test_a_handler_that_hangs_holds_one_thread_and_no_training(caplog: pytest.LogCaptureFixture) -> None:
    release, calls = threading.Event(), []

    def handler(url: str, method: str, timeout: float | None, headers: list[Any], data: bytes) -> Callable[[], None]:
        calls.append((timeout, data))

        def send() -> None:
            release.wait(60)

        return send

    exporter = gangplank.Exporter("gateway:1", "digits", handler=handler, timeout=TIMEOUT, flush_timeout=FLUSH_TIMEOUT)
    try:
        finishes = []
        for phase in ("train", "validate", "test", "train", "predict"):
            run = exporter.run(phase)
            hooks_are_quick(run)
            finishes.append(timed(run.finish))
            assert len(sending()) == 1
        assert finishes[0] < FLUSH_TIMEOUT + 0.25
        assert max(finishes[1:]) < 0.1
        assert [timeout for timeout, _ in calls] == [TIMEOUT]
        strict = gangplank.run("gateway:1", "digits", handler=handler, timeout=TIMEOUT, ignore_exceptions=False)
        with pytest.raises(DeliveryError, match=r"http://gateway:1 accepted nothing within 1\.5 s"):
            strict.start()
    finally:
        release.set()
    eventually(lambda: [data for _, data in calls if b'state="finished"' in data and b"gangplank_predict" in data])


# Row 4: a name that nobody resolves


def test_a_name_that_is_never_resolved_holds_one_thread(gateway: Server) -> None:
    with resolving_never() as resolver:
        exporter = gangplank.Exporter(f"{UNRESOLVED}:{gateway.port}", "digits", timeout=TIMEOUT, flush_timeout=0.1)
        for phase in ("train", "validate", "test", "train", "predict"):
            run = exporter.run(phase)
            hooks_are_quick(run)
            run.finish()
            assert len(sending()) == 1
        resolver.set()
        eventually(lambda: value(gateway, "gangplank_run_state", state="finished", phase="predict") == 1)
