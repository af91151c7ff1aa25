"""An endpoint in the training process: what Prometheus sees there, and that nobody who asks hurts a training."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gangplank
from gangplank import ConfigurationError, DeliveryError, Exporter, ExportError, Run
from gangplank.core.sinks import scrape, server
from support.logged import warnings
from support.reading import eventually, samples
from support.runs import closing_all
from support.servers import find, free_port, get, prometheus

BUCKETS = (-0.5, 0.0, 0.5)
WEIGHTS = [[-1.0, -0.25, 0.0, 0.25]]


@pytest.fixture
def exporters() -> Iterator[list[Exporter]]:
    """Exporters that are closed after the test."""
    with closing_all() as exporters:
        yield exporters
    assert not any(endpoint.server for endpoint in scrape._endpoints.values())  # noqa: SLF001


def begun(exporters: list[Exporter], address: str = "scrape://127.0.0.1:0", **options: Any) -> tuple[Exporter, Run]:
    """Return a strict exporter, and a run of it that has its first epoch."""
    exporter = Exporter(address, "digits", **{"ignore_exceptions": False, **options})
    exporters.append(exporter)
    run = exporter.run()
    run.record({"loss": 0.5}, epoch=0)
    return exporter, run


def at(exporter: Exporter) -> tuple[str, int]:
    """Return where an exporter's endpoint listens."""
    (address,) = exporter.addresses
    return "127.0.0.1", int(address.rpartition(":")[2])


def url(exporter: Exporter) -> str:
    (address,) = exporter.addresses
    return address.replace("scrape:", "http:") + "/metrics"


def loss(exporter: Exporter, phase: str = "train", **labels: str) -> float | None:
    found = [sample.value for sample in samples(get(url(exporter)), f"gangplank_{phase}_loss", **labels)]
    assert len(found) <= 1
    return found[0] if found else None


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_promql_answers_with_what_was_recorded_whatever_the_order_of_phases(
    exporters: list[Exporter], tmp_path: Path
) -> None:
    options: dict[str, Any] = {"grouping_key": {"team": "vision"}, "histogram_buckets": BUCKETS}
    exporter, fit = begun(exporters, f"scrape://127.0.0.1:{free_port()}", **options)
    with prometheus(tmp_path, f"127.0.0.1:{at(exporter)[1]}", job="trainings") as database:
        fit.record({"loss": 0.1}, epoch=1, weights=WEIGHTS)
        fit.finish()
        database.await_query(f'gangplank_run_state{{run="{fit.name}", state="finished"}} == 1')
        with exporter.run("test") as test:
            test.record({"loss": 0.3})
        again = exporter.run("train")
        again.record({"loss": 0.7}, epoch=0, weights=WEIGHTS)
        again.finish()
        database.await_query(f'gangplank_run_state{{run="{again.name}", state="finished"}} == 1')
        database.await_query('gangplank_run_state{phase="test", state="finished"} == 1')
        for phase, run, value in (("train", again, 0.7), ("test", test, 0.3)):
            [(labels, number)] = database.query(f"gangplank_{phase}_loss")
            assert number == value
            assert {name: labels[name] for name in ("job", "phase", "team", "run")} == {
                "job": "digits",
                "phase": phase,
                "team": "vision",
                "run": run.name,
            }
            assert "exported_job" not in labels
        assert [number for _, number in database.query("gangplank_train_model_weights_sum")] == [-1.0]
        assert [number for _, number in database.query("gangplank_train_model_weights_count")] == [4]
        buckets = {
            float(labels["le"]): number for labels, number in database.query("gangplank_train_model_weights_bucket")
        }
        assert buckets == {-0.5: 1, 0.0: 3, 0.5: 4, np.inf: 4}
        assert [number for _, number in database.query("up")] == [1]  # after the runs, while the process lives


def test_without_honor_labels_the_job_is_prometheus_own(exporters: list[Exporter], tmp_path: Path) -> None:
    exporter, run = begun(exporters)
    with prometheus(tmp_path, f"127.0.0.1:{at(exporter)[1]}", job="trainings", honor_labels=False) as database:
        [(labels, _)] = database.await_query("gangplank_train_loss")
    assert (labels["job"], labels["exported_job"]) == ("trainings", "digits")
    run.finish()


def test_a_free_port_is_reported_and_logged(exporters: list[Exporter], caplog: pytest.LogCaptureFixture) -> None:
    exporter = Exporter("scrape://127.0.0.1:0", "digits", ignore_exceptions=False)
    assert exporter.addresses == ("scrape://127.0.0.1:0",)
    exporters.append(exporter)
    run = exporter.run()
    run.record({"loss": 0.5}, epoch=0)
    assert re.fullmatch(r"scrape://127\.0\.0\.1:[1-9]\d+", exporter.addresses[0])
    assert warnings(caplog) == [f"Prometheus can scrape {url(exporter)}"]
    assert loss(exporter) == 0.5
    run.finish()


def test_a_port_that_was_chosen_is_no_warning(exporters: list[Exporter], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    exporter, run = begun(exporters, f"scrape://127.0.0.1:{free_port()}")
    run.finish()
    assert warnings(caplog) == []
    assert f"Prometheus can scrape {url(exporter)}" in caplog.text


def test_a_port_that_is_taken_is_reported_and_hurts_nothing_until_it_is_free(
    exporters: list[Exporter], caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        exporter = Exporter(f"scrape://127.0.0.1:{port}", "digits")
        exporters.append(exporter)
        run = exporter.run()
        for epoch in range(10):
            start = time.perf_counter()
            run.record({"loss": epoch}, epoch=epoch)
            assert time.perf_counter() - start < 0.1
        eventually(lambda: warnings(caplog))
        assert re.search(rf"will retry: cannot listen on scrape://127\.0\.0\.1:{port}: Address already", caplog.text)
        strict_exporter = Exporter(f"scrape://127.0.0.1:{port}", "letters", ignore_exceptions=False)
        exporters.append(strict_exporter)
        strict = strict_exporter.run()
        with pytest.raises(DeliveryError, match="cannot listen on scrape"):
            strict.start()
    eventually(lambda: listens(port))
    eventually(lambda: loss(exporter, job="digits") == 9)
    run.finish()
    strict.finish()
    eventually(lambda: len(list(samples(get(url(exporter)), "gangplank_run_heartbeat_timestamp_seconds"))) == 2)
    (failures,) = samples(get(url(exporter)), "gangplank_run_export_failures_total", job="digits", reason="unreachable")
    assert failures.value >= 1


def test_exporters_of_a_process_share_an_endpoint_until_the_last_is_closed(exporters: list[Exporter]) -> None:
    address = f"scrape://127.0.0.1:{free_port()}"
    first, first_run = begun(exporters, address)
    second, second_run = begun(exporters, address, grouping_key={"team": "vision"})
    assert len(list(samples(get(url(first)), "gangplank_train_loss"))) == 2
    first_run.finish()
    first.close()
    assert loss(second, team="vision") == 0.5
    second_run.finish()
    second.close()
    assert not listens(at(second)[1])


def test_a_run_that_was_closed_leaves_its_port_and_a_later_one_opens_it_again(exporters: list[Exporter]) -> None:
    exporter, run = begun(exporters, f"scrape://127.0.0.1:{free_port()}")
    run.finish()
    assert loss(exporter) == 0.5  # also after its end
    exporter.close()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended are no matter
        other.bind(at(exporter))
        other.listen()
    exporter.close()  # once more is nothing
    with exporter.run("test") as test:
        test.record({"loss": 0.25})
    assert (loss(exporter), loss(exporter, "test")) == (None, 0.25)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def test_there_is_one_thread_that_listens(exporters: list[Exporter]) -> None:
    def listening() -> int:
        return threads().count("gangplank-scrape")

    assert listening() == 0
    exporter, run = begun(exporters)
    for epoch in range(20):
        run.record({"loss": epoch}, epoch=epoch)
        assert loss(exporter) == epoch
    assert listening() == 1
    run.finish()
    exporter.close()
    eventually(lambda: listening() == 0)


# Clients


def test_a_client_that_says_nothing_hurts_nobody_and_is_let_go(
    exporters: list[Exporter], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert 2 < server._DEADLINE <= 30  # noqa: SLF001
    exporter, run = begun(exporters)
    with socket.create_connection(at(exporter)):
        start = time.perf_counter()
        assert loss(exporter) == 0.5
        assert time.perf_counter() - start < 1
    monkeypatch.setattr(server, "_DEADLINE", 0.3)
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(at(exporter), timeout=10)) for _ in range(20)]
        for epoch in range(1, 5):
            run.record({"loss": epoch}, epoch=epoch)
            assert loss(exporter) == epoch
        assert [client.recv(1) for client in silent] == [b""] * 20
    run.finish()
    assert capfd.readouterr() == ("", "")


def test_a_client_that_reads_slowly_hurts_nobody(exporters: list[Exporter], capfd: pytest.CaptureFixture[str]) -> None:
    exporter, run = begun(exporters)
    run.record({f"m{index}": index for index in range(800)}, epoch=1)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        slow.connect(at(exporter))
        slow.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert slow.recv(1) == b"H"
        for epoch in range(2, 5):
            start = time.perf_counter()
            run.record({"loss": epoch}, epoch=epoch)
            assert time.perf_counter() - start < 1
            assert loss(exporter) == epoch
        start = time.perf_counter()
        run.finish()
        exporter.close()
        assert time.perf_counter() - start < 2
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "sent", [b"", b"GET", b"nonsense\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\r\n" * 99]
)
def test_whatever_a_client_sends_nothing_is_said(
    exporters: list[Exporter], sent: bytes, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    exporter, run = begun(exporters)
    for _ in range(5):
        with socket.create_connection(at(exporter)) as client:
            client.sendall(sent)
            # Hang up in the middle, without the parting words of TCP.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert loss(exporter) == 0.5
    run.finish()
    assert capfd.readouterr() == ("", "")
    assert len(warnings(caplog)) == 1  # the port


@pytest.mark.parametrize("path", ["/metrics", "/", "/any?name[]=x"])
@pytest.mark.parametrize("accept", ["*/*", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"])
def test_whoever_asks_gets_the_text_format(exporters: list[Exporter], path: str, accept: str) -> None:
    """OpenMetrics' own format must have no sum where an edge of a histogram is negative; this one may."""
    exporter, run = begun(exporters, histogram_buckets=BUCKETS)
    run.record({"loss": 0.25}, epoch=1, weights=WEIGHTS)
    run.finish()
    answers = {}
    for method in ("GET", "HEAD"):
        request = urllib.request.Request(
            url(exporter).replace("/metrics", path),
            headers={"Accept": accept, "Accept-Encoding": "gzip"},
            method=method,
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            answers[method] = (answer.read(), answer.headers["Content-Length"])
    page, length = answers["GET"]
    assert answers["HEAD"] == (b"", length)
    assert len(page) == int(length)
    linted = subprocess.run([find("promtool"), "check", "metrics"], input=page, capture_output=True, check=False)
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, b"")
    (total,) = samples(page.decode(), "gangplank_train_model_weights_sum")
    assert total.value == -1.0


def test_no_scrape_at_a_change_of_runs_sees_a_series_twice(exporters: list[Exporter]) -> None:
    exporter, run = begun(exporters)
    stop, seen, wrong = threading.Event(), [0], []

    def ask() -> None:
        while not stop.is_set():
            page = get(url(exporter))
            seen[0] += 1
            series = [line.rpartition(" ")[0] for line in page.split("\n") if line and not line.startswith("#")]
            names = {re.search('run="([^"]+)"', one) for one in series if 'phase="train"' in one}
            if len(series) != len(set(series)) or len({name and name.group(1) for name in names}) != 1:
                wrong.append(page)

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    try:
        changes = 0
        while changes < 50 or seen[0] < 20:
            run.finish()
            run = exporter.run("train")
            run.record({"loss": 1}, epoch=0)
            changes += 1
    finally:
        stop.set()
        for thread in asking:
            thread.join()
        run.finish()
    assert wrong == []


# Processes


def script(code: str) -> list[str]:
    begin = """
    import os, socket, sys, time
    import gangplank
    exporter = gangplank.Exporter("scrape://127.0.0.1:0", "digits", ignore_exceptions=False)
    run = exporter.run()
    run.record({"loss": 0.5}, epoch=0)
    print(exporter.addresses[0].rpartition(":")[2], flush=True)
    """
    return [sys.executable, "-c", textwrap.dedent(begin) + textwrap.dedent(code)]


def test_a_process_ends_promptly_with_open_connections() -> None:
    with subprocess.Popen(
        script("sys.stdin.readline()"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with (
            socket.create_connection(("127.0.0.1", port)),
            socket.create_connection(("127.0.0.1", port)) as asking,
        ):
            asking.sendall(b"GET /metrics HTTP/1.1\r\n")
            get(f"http://127.0.0.1:{port}/metrics")
            start = time.perf_counter()
            _, said = process.communicate("\n", timeout=30)
            assert time.perf_counter() - start < 2
        assert process.returncode == 0
        first, last = said.splitlines()
        assert first == f"Prometheus can scrape http://127.0.0.1:{port}/metrics"
        assert "nothing has ended it" in last


@pytest.mark.parametrize("then", ["os._exit(0)", "run.finish(); exporter.close(); sys.stdin.readline()"])
def test_a_forked_child_keeps_no_port(then: str) -> None:
    code = f"""
    child = os.fork()
    if child == 0:
        try:
            run.record({{"loss": 666}}, epoch=666)  # not the child's to touch
        except Exception as error:
            print(type(error).__name__, flush=True)
        sys.stdin.readline()
        os._exit(0)
    {then}
    """
    with subprocess.Popen(
        script(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        assert process.stdout.readline() == f"{ExportError.__name__}\n"
        eventually(lambda: not listens(port))  # and the child lives
        process.communicate("\n\n", timeout=30)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_has_an_endpoint_of_its_own(exporters: list[Exporter]) -> None:
    exporter, run = begun(exporters)
    reading, writing = os.pipe()
    stay, leave = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            test = exporter.run("test")
            test.record({"loss": 0.25})
            os.write(writing, exporter.addresses[0].encode())
            os.read(stay, 1)
        finally:
            os._exit(0)
    try:
        address = os.read(reading, 100).decode()
        page = get(address.replace("scrape:", "http:"))
        assert address != exporter.addresses[0]
        assert [sample.value for sample in samples(page, "gangplank_test_loss")] == [0.25]
        assert list(samples(page, "gangplank_train_loss")) == []
        assert (loss(exporter), loss(exporter, "test")) == (0.5, None)
    finally:
        os.write(leave, b"\n")
        os.waitpid(child, 0)
        for end in (reading, writing, stay, leave):
            os.close(end)
    run.finish()


@pytest.mark.parametrize(
    "wrong",
    [
        "scrape://127.0.0.1",
        "scrape://:9464",
        "scrape://127.0.0.1:9464/metrics",
        "scrape://127.0.0.1:99999",
        "scrape://user:secret@127.0.0.1:9464",
        "scrape://",
        "scrape://::1:9464",
    ],
)
def test_an_address_that_cannot_work_is_refused_with_the_cure(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=r"write scrape://127\.0\.0\.1:9464") as raised:
        gangplank.run(wrong, "digits")
    assert "secret" not in str(raised.value)


def test_ipv6(exporters: list[Exporter]) -> None:
    exporter, run = begun(exporters, "scrape://[::1]:0")
    assert re.fullmatch(r"scrape://\[::1\]:\d+", exporter.addresses[0])
    assert loss(exporter) == 0.5
    run.finish()
