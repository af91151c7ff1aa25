"""The server of the scrape endpoint: whoever asks, and however many, a training keeps its descriptors and its speed."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from typing import IO, Any

import pytest

from gangplank import Exporter, Run
from gangplank.core.sinks import scrape, server
from gangplank.core.sinks.together import Together
from support.reading import eventually, samples
from support.runs import closing_all
from support.servers import free_port, get

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def exporters() -> Iterator[list[Exporter]]:
    """Exporters that are closed after the test."""
    with closing_all() as exporters:
        yield exporters


def begun(exporters: list[Exporter], **options: Any) -> tuple[int, Run]:
    """Return the port of an endpoint, and the run that it shows."""
    exporter = Exporter(f"scrape://127.0.0.1:{free_port()}", "digits", ignore_exceptions=False, **options)
    exporters.append(exporter)
    run = exporter.run()
    run.record({"loss": 0.5}, epoch=0)
    return int(exporter.addresses[0].rpartition(":")[2]), run


def loss(port: int) -> float:
    (sample,) = samples(get(f"http://127.0.0.1:{port}/metrics"), "gangplank_train_loss")
    return float(sample.value)


def answer(port: int, *parts: bytes) -> bytes:
    """Return what the endpoint says to a request that comes in parts."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        for part in parts:
            client.sendall(part)
        return b"".join(iter(lambda: client.recv(65_536), b""))


@contextlib.contextmanager
def trains(descriptors: int, **constants: float) -> Iterator[tuple[int, IO[str], IO[str]]]:
    """Yield the port of a process that trains, and its input and output: it evaluates each line that it is sent."""
    code = f"""
    import os, resource, sys, threading, time
    import gangplank
    from gangplank.core.sinks import server
    vars(server).update({constants})
    resource.setrlimit(resource.RLIMIT_NOFILE, ({descriptors}, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    exporter = gangplank.Exporter("scrape://127.0.0.1:0", "digits", ignore_exceptions=False)
    run = exporter.run()
    run.record({{"loss": 0.5}}, epoch=0)
    files = []

    def record():
        start = time.perf_counter()
        run.record({{"loss": 0.25}}, epoch=1)
        return time.perf_counter() - start

    def open_files(count):
        for _ in range(count):
            try: files.append(open("/dev/null"))
            except OSError: break
        return len(files)

    def close_files():
        while files: files.pop().close()

    def work(seconds):
        start = time.process_time()
        time.sleep(seconds)
        return time.process_time() - start

    print(exporter.addresses[0].rpartition(":")[2], flush=True)
    for line in sys.stdin:
        print(eval(line), flush=True)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process.stdin, process.stdout
        finally:
            process.kill()


def told(training: tuple[int, IO[str], IO[str]], expression: str) -> Any:
    """Return the value of an expression in the process that trains."""
    _, given, said = training
    given.write(f"{expression}\n")
    given.flush()
    return eval(said.readline())  # noqa: S307  our own process


@contextlib.contextmanager
def crowd(port: int, size: int) -> Iterator[None]:
    """Have so many peers that begin a request, and never end it, in processes of their own."""
    code = f"""
    import socket, sys, time
    peers = [socket.socket() for _ in range(int(sys.argv[1]))]
    for peer in peers:
        peer.setblocking(False)
        peer.connect_ex(("127.0.0.1", {port}))
    print(flush=True)
    begin = {REQUEST[:-2]!r}
    while True:
        for peer in peers:
            try: peer.send(begin[:1] or b"x")
            except OSError: pass
        begin = begin[1:]
        time.sleep(0.1)
    """
    with contextlib.ExitStack() as stack:
        for _ in range(-(-size // 500)):  # each process has its own limit of descriptors
            command = [sys.executable, "-c", textwrap.dedent(code), str(min(size, 500))]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
            stack.callback(process.kill)
            assert process.stdout is not None
            process.stdout.readline()
        yield


# Crowds


def test_a_thousand_slow_peers_take_no_thread_and_few_descriptors_of_a_training() -> None:
    with trains(1024) as training, crowd(training[0], 1_000):
        eventually(lambda: told(training, "len(os.listdir('/dev/fd'))") >= server._MOST)  # noqa: SLF001
        assert told(training, "threading.active_count()") <= 3  # who trains, who sends, who serves
        assert told(training, "len(os.listdir('/dev/fd'))") <= server._MOST + 15  # noqa: SLF001
        assert told(training, "open_files(900)") == 900
        assert min(told(training, "record()") for _ in range(5)) < 0.1


def test_where_descriptors_are_few_a_training_keeps_half_of_them() -> None:
    with trains(48) as training, crowd(training[0], 100):
        eventually(lambda: told(training, "len(os.listdir('/dev/fd'))") >= 20)
        told(training, "work(0.5)")  # there are no more to come
        assert told(training, "open_files(20)") == 20
        assert told(training, "record()") < 1


def test_without_a_descriptor_left_it_waits_for_one() -> None:
    with trains(64) as training:
        assert told(training, "open_files(100)") < 64
        with socket.create_connection(("127.0.0.1", training[0]), timeout=10) as client:
            client.sendall(REQUEST)
            assert told(training, "work(1)") < 0.2  # it does not try all the time
            told(training, "close_files()")
            assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
        assert loss(training[0]) == 0.5


def test_who_comes_after_slow_peers_is_answered(exporters: list[Exporter], monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= server._DEADLINE_IF_FULL <= 3  # noqa: SLF001
    monkeypatch.setattr(server, "_DEADLINE_IF_FULL", 0.2)
    port, run = begun(exporters)
    with crowd(port, 100):
        assert loss(port) == 0.5
    run.finish()


def test_all_who_ask_without_pause_get_a_part_of_one_core(exporters: list[Exporter]) -> None:
    code = """
    import socket, sys, threading
    def ask():
        while True:
            with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as client:
                client.sendall(sys.argv[2].encode())
                while client.recv(65536): pass
            print(flush=True)
    for _ in range(50): threading.Thread(target=ask).start()
    """
    port, run = begun(exporters)
    run.record({f"m{index}": index for index in range(100)}, epoch=1)
    command = [sys.executable, "-c", textwrap.dedent(code), str(port), REQUEST.decode()]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            for _ in range(100):
                assert process.stdout.readline() == b"\n"
            start, before = time.perf_counter(), time.process_time()
            time.sleep(1)
            assert time.process_time() - before < 0.4 * (time.perf_counter() - start)
        finally:
            process.kill()
    run.finish()


def test_a_page_is_joined_once_for_all_who_ask(exporters: list[Exporter], monkeypatch: pytest.MonkeyPatch) -> None:
    joined, text = [0], Together.text

    def counted(together: Together) -> bytes:
        joined[0] += 1
        return text(together)

    monkeypatch.setattr(Together, "text", counted)
    port, run = begun(exporters)
    for epoch in range(1, 4):
        run.record({"loss": epoch}, epoch=epoch)
        assert [loss(port) for _ in range(10)] == [epoch] * 10
        assert joined[0] == epoch
    run.finish()


# Single clients


def test_a_request_has_one_deadline_however_often_a_byte_comes(
    exporters: list[Exporter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_DEADLINE", 0.3)
    port, run = begun(exporters)
    with socket.create_connection(("127.0.0.1", port), timeout=0.05) as client:

        def is_let_go() -> bool:
            try:
                client.sendall(b"x")
                return not client.recv(1)
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        client.sendall(REQUEST[:-2])
        eventually(is_let_go)
    run.finish()


def test_who_does_not_read_is_let_go(exporters: list[Exporter], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_DEADLINE", 0.3)
    port, run = begun(exporters, info={"note": "x" * 8_000_000})  # more than the system takes for a socket
    (endpoint,) = (one for one in scrape._endpoints.values() if one.server)  # noqa: SLF001
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        slow.connect(("127.0.0.1", port))
        slow.sendall(REQUEST)
        slow.settimeout(10)
        assert slow.recv(1) == b"H"
        assert endpoint.server is not None
        eventually(lambda: not endpoint.server._clients)  # type: ignore[union-attr]  # noqa: SLF001
    run.finish()


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        pytest.param([REQUEST[index : index + 1] for index in range(len(REQUEST))], b"200 OK", id="byte by byte"),
        pytest.param([b"GET / HTTP/1.0\r\n\r\n"], b"200 OK", id="HTTP/1.0"),
        pytest.param([b"GET / HTTP/1.1\nHost: x\n\n"], b"200 OK", id="bare line feeds"),
        pytest.param([b"HEAD / HTTP/1.1\r\n\r\n"], b"200 OK", id="HEAD"),
        pytest.param([b"PUT / HTTP/1.1\r\n\r\n"], b"501 Not Implemented", id="another method"),
        pytest.param([b"GET /\r\n\r\n"], b"400 Bad Request", id="no version"),
        pytest.param([b"\x16\x03\x01 \r\n\r\n"], b"400 Bad Request", id="TLS"),
        pytest.param([b"x" * 8_193], b"", id="no end"),
    ],
)
def test_a_request_is_answered_by_its_status(exporters: list[Exporter], parts: list[bytes], status: bytes) -> None:
    port, run = begun(exporters)
    said = answer(port, *parts)
    assert said.partition(b"\r\n")[0] == (b"HTTP/1.1 " + status if status else b"")
    assert (b"gangplank_train_loss" in said) == (status == b"200 OK" and not parts[0].startswith(b"HEAD"))
    run.finish()


def test_a_client_that_keeps_its_connection_alive_opens_another(exporters: list[Exporter]) -> None:
    port, run = begun(exporters)
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(3):
        client.request("GET", "/metrics", headers={"Connection": "keep-alive"})
        response = client.getresponse()
        assert response.headers["Connection"] == "close"
        assert b"gangplank_train_loss" in response.read()
    client.close()
    run.finish()


# Faults of our own


def test_a_text_that_cannot_be_made_is_made_for_the_next_who_asks(
    exporters: list[Exporter], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, asked = Together.text, [0]

    def no_memory_at_first(together: Together) -> bytes:
        asked[0] += 1
        if asked[0] == 1:
            raise MemoryError
        return text(together)

    monkeypatch.setattr(Together, "text", no_memory_at_first)
    port, run = begun(exporters)
    assert answer(port, REQUEST) == b""
    assert loss(port) == 0.5
    run.finish()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_server_whose_thread_has_died_is_replaced(exporters: list[Exporter], monkeypatch: pytest.MonkeyPatch) -> None:
    port, run = begun(exporters)
    with monkeypatch.context() as patch:
        patch.setattr(server.Server, "_let_go_of_the_slow", None)
        eventually(lambda: "gangplank-scrape" not in [thread.name for thread in threading.enumerate()])
    run.record({"loss": 0.25}, epoch=1)
    assert loss(port) == 0.25
    run.finish()


def test_a_destructor_may_close_it_on_its_own_thread(
    exporters: list[Exporter], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Together.text

    def closing(together: Together) -> bytes:
        exporters[0].close()
        return text(together)

    monkeypatch.setattr(Together, "text", closing)
    port, run = begun(exporters)
    assert answer(port, REQUEST).startswith(b"HTTP/1.1 200 OK")
    eventually(lambda: "gangplank-scrape" not in [thread.name for thread in threading.enumerate()])
    run.finish()


def test_without_a_thread_there_is_no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    at = "127.0.0.1", free_port()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            server.Server(at, bytes)
    with socket.socket() as probe:
        assert probe.connect_ex(at) != 0
