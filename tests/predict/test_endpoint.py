"""The endpoint at which Prometheus scrapes models: real HTTP."""

from __future__ import annotations

import concurrent.futures
import logging
import os
import signal
import socket
import threading
import urllib.request
from pathlib import Path
from typing import Any
from wsgiref.simple_server import make_server

import numpy as np
import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, make_wsgi_app

from gangplank import ConfigurationError, PrometheusModel
from support.predicted import Model
from support.reading import eventually, samples
from support.servers import free_port, get, prometheus
from support.threads import alive, without_earlier_threads  # noqa: F401  a fixture

X = np.ones((4, 2))


def served(registry: CollectorRegistry, port: int = 0, **options: Any) -> PrometheusModel:
    return PrometheusModel(Model(), registry, port, host="127.0.0.1", **options)


def page(port: int | None, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        text: str = answer.read().decode()
        return text


def total(port: int | None) -> float:
    (sample,) = samples(page(port), "gangplank_predict_total")
    return float(sample.value)


def refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_it_shows_the_registry_at_every_path(registry: CollectorRegistry) -> None:
    prometheus_client.Counter("requests", "Of the application.", registry=registry).inc()
    with served(registry) as model:
        model.predict(X)
        for path in ("/", "/metrics", "/any/path?x=1"):
            assert 'gangplank_predict_latency_seconds_count{method="predict"} 1.0' in page(model.port, path)
            assert "requests_total 1.0" in page(model.port, path)


def test_the_port_that_was_taken_is_told(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gangplank")
    with served(registry) as any_port:
        assert any_port.port
        entry = caplog.records[-1]
        assert (entry.levelno, entry.getMessage()) == (
            logging.WARNING,
            f"Prometheus can scrape http://127.0.0.1:{any_port.port}/metrics",
        )
    port = free_port()
    with served(registry, port) as model:
        assert model.port == port
        assert caplog.records[-1].levelno == logging.INFO


def test_by_default_it_listens_on_all_addresses(registry: CollectorRegistry) -> None:
    with PrometheusModel(Model(), registry, 0) as model:
        assert total(model.port) == 0


def test_closing_it_closes_the_port_and_ends_its_thread(registry: CollectorRegistry) -> None:
    model = served(registry)
    port = model.port
    assert port
    assert alive("gangplank-endpoint")
    model.close()
    assert refuses(port)
    assert not alive("gangplank-endpoint")
    model.close()
    with served(registry, port) as again:
        assert total(again.port) == 0


def test_models_of_one_registry_share_a_port_until_the_last_is_closed(registry: CollectorRegistry) -> None:
    port = free_port()
    first = served(registry, port)
    second = served(registry, port)  # as a notebook's cell that is run again does
    second.predict(X)
    first.close()
    assert total(port) == 4
    second.close()
    assert refuses(port)


def test_a_port_that_is_in_use_is_an_error_that_says_what_to_do(registry: CollectorRegistry) -> None:
    with served(CollectorRegistry()) as other:
        with pytest.raises(ConfigurationError, match=rf"port={other.port} is in use.*0 for any free.*route"):
            served(registry, other.port or 0)
        assert total(other.port) == 0


def test_a_host_that_is_not_here_is_an_error(registry: CollectorRegistry) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot listen on 192\.0\.2\.1:0: "):
        PrometheusModel(Model(), registry, 0, host="192.0.2.1")
    with pytest.raises(ConfigurationError, match=r"cannot listen on nowhere\.invalid:0: "):
        PrometheusModel(Model(), registry, 0, host="nowhere.invalid")
    with pytest.raises(ConfigurationError, match="it is not a host name"):
        PrometheusModel(Model(), registry, 0, host="a" * 64)


def test_a_port_that_is_closed_on_one_thread_may_be_taken_on_another(registry: CollectorRegistry) -> None:
    port = free_port()

    def open_and_close(_: int) -> None:
        for _ in range(5):
            served(registry, port).close()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(open_and_close, range(4))) == [None] * 4


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6")
def test_on_ipv6(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    with PrometheusModel(Model(), registry, 0, host="::1") as model:
        assert get(f"http://[::1]:{model.port}/")
        assert f"http://[::1]:{model.port}/metrics" in caplog.text


def test_it_works_beside_another_one(registry: CollectorRegistry) -> None:
    with make_server("127.0.0.1", 0, make_wsgi_app(registry)) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        try:
            PrometheusModel(Model(), registry).predict(X)
            with served(registry) as model:
                assert total(server.server_port) == total(model.port) == 4
        finally:
            server.shutdown()


def test_many_may_ask_while_models_predict(registry: CollectorRegistry) -> None:
    with served(registry) as model, concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(total, model.port) for _ in range(50)]
        done = [pool.submit(model.predict, X) for _ in range(50)]
        assert all(future.result().shape == (4, 3) for future in done)
        assert all(future.result() % 4 == 0 for future in asked)
        assert total(model.port) == 200


def test_a_client_that_says_nothing_holds_up_nobody(
    registry: CollectorRegistry, capfd: pytest.CaptureFixture[str]
) -> None:
    with served(registry) as model, socket.create_connection(("127.0.0.1", model.port or 0)) as silent:
        assert total(model.port) == 0
        silent.close()
        with socket.create_connection(("127.0.0.1", model.port or 0)) as rude:
            rude.sendall(b"nonsense\r\n\r\n")
            assert b"400" in rude.recv(9_999)
        assert total(model.port) == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_child_leaves_the_port_to_its_parent(registry: CollectorRegistry) -> None:
    with served(registry) as model:
        port = model.port
        assert port
        said, says = os.pipe()
        pid = os.fork()
        if not pid:  # pragma: no cover
            signal.alarm(20)
            before = model.port
            model.close()
            with served(registry) as own:
                os.write(says, f"{before} {own.port != port} {total(own.port)}".encode())
            signal.pause()
            os._exit(0)
        try:
            assert os.read(said, 99) == b"None True 0.0"
            assert total(port) == 0
            model.close()
            assert refuses(port)  # although the child goes on
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_prometheus_scrapes_it(registry: CollectorRegistry, tmp_path: Path) -> None:
    with served(registry, name="digits", version="3") as model:
        model.predict(X)
        with prometheus(tmp_path, f"127.0.0.1:{model.port}") as database:
            query = 'gangplank_predict_total{model="digits",version="3"}'
            ((_, total),) = eventually(lambda: database.query(query), timeout=20)
            assert total == 4
