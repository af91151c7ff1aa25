"""The page: in a browser without a request to anywhere else, bounded, and for browsers on this machine only."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode

import pytest

from gangplank.cli.remote.prometheus import Prometheus as Client
from gangplank.cli.watch import server as servers
from gangplank.cli.watch import watcher as watchers
from gangplank.cli.watch.server import PageServer, listening_address
from gangplank.cli.watch.sources import PrometheusSource
from gangplank.cli.watch.watcher import Watcher
from gangplank.core.errors import ConfigurationError
from gangplank.testing.gateway import Gateway
from support.gateway_client import talk
from support.reading import eventually
from support.servers import Server, prometheus
from support.verbs import put_at
from support.watched import looked, page, push, watching, weights

UPDATE = "run_last_update_timestamp_seconds"
EVIL = "<img src=http://evil.invalid/x onerror=alert(1)>\"'&<script>document.title='owned'</script>"


@contextmanager
def serving(watcher: Watcher, at: str = "127.0.0.1:0") -> Iterator[PageServer]:
    """Serve what a watcher has seen."""
    with PageServer(listening_address(at), watcher) as server:
        yield server


def get(server: PageServer, path: str, method: str = "GET", **headers: str) -> tuple[int, str, dict[str, str]]:
    """Return status, text and headers."""
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=10)  # type: ignore[arg-type]
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), dict(answer.headers)


class Elements(HTMLParser):
    """The elements of a page; raises if it is not balanced."""

    VOID = ("meta", "link", "input", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_a_page_is_for_everybody(gateway: Server) -> None:
    """A keyboard, a screen reader, a phone."""
    push(gateway.address, page("running", {UPDATE: 1530}) + weights(1, 5, 2, 0), "digits")
    push(gateway.address, page("finished"), "done")
    watcher, view = looked(gateway.address)
    with serving(watcher) as server:
        status, text, _ = get(server, "/")
        path = f"/run?{urlencode(view.runs[0].labels)}"
        one_status, one, _ = get(server, path)
    assert (status, one_status) == (200, 200)
    for html in (text, one):
        elements = Elements(html)
        assert elements.all("html") == [{"lang": "en"}]
        assert len(elements.all("h1")) == len(elements.all("main")) == 1
        assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in elements.all("meta")
        assert all(svg["role"] == "img" and svg["aria-label"] for svg in elements.all("svg"))
        assert all(bar["aria-label"] for bar in elements.all("progress"))
        assert all(cell["scope"] in ("col", "row") for cell in elements.all("th"))
        assert not elements.all("script")
        assert all(link["href"] == "data:," for link in elements.all("link"))
    assert "<h1>1 of 2 runs needs you</h1>" in text
    assert (
        f'<a href="{path.replace("&", "&amp;")}">digits train</a> is stuck: alive, and no progress for 25 min' in text
    )
    assert 'aria-label="60% complete"' in text
    assert "<h1>digits train</h1>" in one
    assert 'aria-label="Histogram of 8 weights; most are in the bucket ≤ 0"' in one
    assert '<th scope="row">≤ 0.1</th><td class="number">2</td>' in one


def test_jobs_can_be_chosen_and_refreshing_can_be_paused(gateway: Server) -> None:
    for job in ("llm-a", "llm-b", "vision"):
        push(gateway.address, page(), job)
    watcher = looked(gateway.address)[0]
    with serving(watcher) as server:
        assert get(server, "/")[1].count('role="rowheader"') == 3
        chosen = get(server, "/?job=llm-*&paused=1")[1]
        assert "No job matches &lt;b&gt;." in get(server, "/?job=%3Cb%3E")[1]
        assert get(server, "/run?job=llm-a&phase=train")[0] == 404
        assert get(server, "/run?job=llm-a&phase=train&run=r1&paused=1")[0] == 200
        assert get(server, "/other")[0] == 404
        assert 'http-equiv="refresh"' in get(server, "/?job=llm-*")[1]
    assert chosen.count('role="rowheader"') == 2
    assert 'http-equiv="refresh"' not in chosen
    assert '<a href="/?job=llm-%2A">Refresh again</a>' in chosen


def test_the_first_link_pauses_refreshing(gateway: Server) -> None:
    """By keyboard, the second one may be too late."""
    push(gateway.address, page("running", {UPDATE: 1530}), "digits")
    watcher, view = looked(gateway.address)
    with serving(watcher) as server:
        for path in ("/", f"/run?{urlencode(view.runs[0].labels)}"):
            links = Elements(get(server, path)[1]).all("a")
            assert "paused=1" in "".join(str(link["href"]) for link in links[:2])
        assert "paused" in str(Elements(get(server, "/?job=d*")[1]).all("a")[0]["href"])


def test_a_label_may_be_empty(gateway: Server) -> None:
    put_at(gateway.address, "/metrics/job/digits/phase/train/team@base64/=", page())
    watcher, view = looked(gateway.address)
    with serving(watcher) as server:
        assert get(server, f"/run?{urlencode(view.runs[0].labels)}")[0] == 200


def test_curves_in_the_table_have_as_many_points_as_can_be_seen(gateway: Server) -> None:
    push(gateway.address, page(), "digits")
    watcher, view = looked(gateway.address)
    assert view.now is not None
    for second in range(1, 200):
        metrics = {"loss": 1.0 if second < 199 else 0.0}
        watcher.history.add([replace(view.runs[0], metrics=metrics)], view.now + second)
    with serving(watcher) as server:
        table = get(server, "/")[1]
        one = get(server, f"/run?{urlencode(view.runs[0].labels)}")[1]
    drawn, drawn_one = (re.findall(r'<path d="M([^"]+)"', text)[0].split("L") for text in (table, one))
    assert 40 <= len(drawn) <= 60
    assert len(drawn_one) > 150
    assert drawn[-1] == "118.0 26.0"  # the newest point


def test_a_server_that_hangs_leaves_the_page_of_a_run(
    gateway: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "_PATIENCE", 0.2)
    push(gateway.address, page() + weights(1, 5, 2, 0), "digits")
    push(gateway.address, page(), "other")
    with prometheus(tmp_path, gateway.address) as scraper:
        scraper.await_query("count(gangplank_run_state) == 8")
        watcher = Watcher(PrometheusSource(Client(scraper.url), 1), 5)
        [digits] = [run for run in watcher.read().runs if run.job == "digits"]
        with serving(watcher) as server:
            path = f"/run?{urlencode(digits.labels)}"
            eventually(lambda: get(server, path)[1], lambda text: "Histogram of 8 weights" in text)
            scraper.freeze()
            for _ in range(2):
                assert "Histogram of 8 weights" in get(server, path)[1]
            scraper.thaw()


def test_a_gateway_that_is_down_is_a_line_on_the_page(gateway: Server) -> None:
    push(gateway.address, page(), "digits")
    watcher = looked(gateway.address)[0]
    gateway.stop()
    watcher.read()
    with serving(watcher) as server:
        text = get(server, "/")[1]
    assert f'<p class="trouble" role="alert">Cannot read {gateway.address}: ' in text
    assert text.index('role="alert"') < text.index("<h1>0 s ago: The run is well.</h1>")
    assert f"<title>(?) Runs on {gateway.address}</title>" in text
    assert ">digits</a>" in text


def test_every_answer_forbids_what_it_does_not_need(gateway: Server) -> None:
    with serving(watching(gateway.address)) as server:
        answers = [get(server, path) for path in ("/", "/run", "/x")]
        answers += [get(server, "/", method) for method in ("POST", "PUT", "DELETE", "OPTIONS", "HEAD")]
        answers += [get(server, "/", Host="evil.example")]
    for _, _, headers in answers:
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
    assert [status for status, _, _ in answers] == [200, 404, 404, 501, 501, 501, 501, 200, 421]
    assert answers[7][1] == ""


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:9", 200),  # a port that ssh forwards
        ("LOCALHOST:8088", 200),
        ("[::1]:8088", 200),
        ("evil.example", 421),
        ("evil.example:8088", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("localhost@evil.example", 421),
        ("10.0.0.1", 421),
        ("[", 421),
        ("", 421),
    ],
)
def test_a_name_that_another_site_has_pointed_here_is_refused(host: str, status: int, gateway: Server) -> None:
    push(gateway.address, page(), "digits")
    with serving(looked(gateway.address)[0]) as server:
        found, text, _ = get(server, "/", Host=host)
    assert (found, "digits" in text) == (status, status == 200)


def test_no_host_at_all_is_refused(gateway: Server) -> None:
    with serving(watching(gateway.address)) as server:
        assert b" 421 " in talk(server.url.split("/")[2], b"GET / HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize("text", ["0.0.0.0:8088", "192.168.1.5:8088", "example.com:8088", "[::]:8088", "10.0.0.1:1"])
def test_other_machines_cannot_be_let_in(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"can be reached from other machines: .*ssh -L"):
        listening_address(text)


@pytest.mark.parametrize("text", ["8088", "127.0.0.1", "127.0.0.1:x", "", "127.0.0.1:1/x"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a valid address: write 127"):
        listening_address(text)
    assert listening_address("localhost:0") == ("127.0.0.1", 0)
    assert listening_address("[::1]:5") == ("::1", 5)


def test_a_crowd_of_slow_clients_is_let_go(gateway: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert servers._DEADLINE == 10  # noqa: SLF001
    monkeypatch.setattr(servers, "_DEADLINE", 0.5)
    with serving(watching(gateway.address)) as server:
        at = server.server_address
        crowd = [socket.create_connection(at[:2], timeout=10) for _ in range(servers._MOST)]  # type: ignore[arg-type] # noqa: SLF001
        for one in crowd:
            one.sendall(b"GET / HTTP/1.0\r\nX: ")
        began = time.monotonic()
        refused = socket.create_connection(at[:2], timeout=10)  # type: ignore[arg-type]
        crowd.append(refused)
        for one in crowd:
            with suppress(ConnectionResetError):
                assert one.recv(1) == b""
            one.close()
        assert time.monotonic() - began < 5
        assert eventually(lambda: _status(server), lambda status: status == 200) == 200


def _status(server: PageServer) -> int:
    try:
        return get(server, "/")[0]
    except OSError:
        return 0


@pytest.mark.parametrize(
    "request_", [b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"GET http://[ HTTP/1.0\r\nHost: localhost\r\n\r\n"]
)
def test_a_request_that_is_none_is_an_error_and_nothing_more(request_: bytes, gateway: Server) -> None:
    with serving(watching(gateway.address)) as server:
        talk(server.url.split("/")[2], request_)
        many = "&".join(f"a{number}=1" for number in range(1000))
        assert get(server, f"/run?{many}")[0] == 400
        assert get(server, "/")[0] == 200


# A real browser


def browse(url: str, folder: Path, *options: str) -> str:
    """Return the document that Chromium has made of a page."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs chromium")
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    done = subprocess.run([*command, *options, url], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def test_a_browser_shows_it_and_runs_nothing_of_a_stranger(tmp_path: Path) -> None:
    with Gateway() as gateway:
        push(gateway.address, page(run=""), EVIL, team=EVIL)
        push(gateway.address, page(run_nonfinite_metrics=1, train_loss=float("nan")) + weights(1, 5, 2, 0), "digits")
        watcher, view = looked(gateway.address)
        [digits] = [run for run in view.runs if run.job == "digits"]
        with serving(watcher) as server:
            document = browse(f"{server.url}?paused=1", tmp_path, "--dump-dom")
            one = browse(f"{server.url}run?paused=1&{urlencode(digits.labels)}", tmp_path, "--dump-dom")
            png = tmp_path / "phone.png"
            browse(server.url, tmp_path, "--window-size=500,900", f"--screenshot={png}")
    assert "<title>(1) Runs on " in document
    assert "owned" not in document.partition("<title>")[2].partition("</title>")[0]
    assert not re.search(r"<(img|script)", document)
    assert document.count("<tr ") == 3
    assert "&lt;img src=http://evil.invalid/x" in document
    assert one.count("<rect ") == 4
    assert png.stat().st_size > 10_000
