"""`gangplank doctor` and a Prometheus that scrapes the gateway, or does not."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gangplank.cli.doctor import prometheus, verb
from gangplank.cli.doctor.check import Check
from gangplank.cli.installed import adapters
from gangplank.cli.remote import client
from gangplank.core.sinks.address import parse
from gangplank.core.types import Group
from support import proxy as proxies
from support.examined import HISTOGRAM, Examined, left, states, the
from support.proxy import proxying
from support.reading import eventually
from support.servers import Server, free_port
from support.servers import prometheus as scraping
from support.verbs import put, served


def test_a_prometheus_that_scrapes_the_gateway(gateway: Server, examined: Examined, tmp_path: Path) -> None:
    with scraping(tmp_path, f"localhost:{gateway.port}") as server:
        code, found = examined(gateway.address, "--prometheus", server.url)
    assert code == 0
    assert set(states(found).values()) == {"ok"}
    assert "every 250ms" in the(found, "target")[1]
    assert {"prometheus", "target", "honor_labels", "arrival"} < found.keys()
    assert not left(gateway.address)


def test_one_that_gives_every_job_its_own_name(gateway: Server, examined: Examined, tmp_path: Path) -> None:
    with scraping(tmp_path, gateway.address, job="'push gate'", honor_labels=False) as server:
        code, found = examined(gateway.address, "--prometheus", server.address)
    assert code == 1
    assert the(found, "honor_labels")[0] == "problem"
    state, said = the(found, "arrival")
    assert state == "problem"
    assert "arrived as job='push gate', exported_job='gangplank-doctor-" in said
    assert "honor_labels: true" in said


def test_one_that_does_not_scrape_it_and_the_fix_is_a_config(
    gateway: Server, examined: Examined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus, "_USUAL_INTERVAL", 0.1)
    monkeypatch.setattr(prometheus, "_START", 0.1)
    with scraping(tmp_path, f"127.0.0.1:{free_port()}") as server:
        code, found = examined(gateway.address, "--prometheus", server.url)
        assert code == 1
        assert the(found, "target")[0] == the(found, "arrival")[0] == "problem"
        fix = found["target"][0]["fix"].removeprefix("add to its scrape_configs: ")
        (tmp_path / "prometheus.yml").write_text(f"global: {{scrape_interval: 250ms}}\nscrape_configs:\n{fix}\n")
        server.process.send_signal(signal.SIGHUP)
        monkeypatch.undo()
        monkeypatch.setattr(adapters, "_problem", lambda adapter: "")
        code, found = eventually(
            lambda: examined(gateway.address, "--prometheus", server.url), lambda seen: seen[0] == 0, 60
        )
    assert set(states(found).values()) == {"ok"}


def test_one_that_scrapes_it_by_another_name(gateway: Server, examined: Examined, tmp_path: Path) -> None:
    with proxying(gateway.port, proxies.passes) as front, scraping(tmp_path, front.address) as server:
        server.await_query("up == 1")
        code, found = examined(gateway.address, "--prometheus", server.url)
    assert code == 0
    assert "target" not in found
    assert the(found, "arrival")[0] == "ok"


def test_one_whose_scrapes_fail(gateway: Server, examined: Examined, tmp_path: Path) -> None:
    put(gateway.address, HISTOGRAM, job="broken", le="5")
    with scraping(tmp_path, gateway.address) as server:
        server.await_query("up == 0")
        code, found = examined(gateway.address, "--prometheus", server.url)
    assert code == 1
    assert 'label name "le" is not unique' in the(found, "target")[1]
    assert the(found, "arrival")[0] == "problem"


def test_one_that_scrapes_it_twice(gateway: Server, examined: Examined, tmp_path: Path) -> None:
    with scraping(tmp_path, f"{gateway.address},localhost:{gateway.port}") as server:
        code, found = examined(gateway.address, "--prometheus", server.url)
    assert code == 0
    assert found["target"][-1]["state"] == "warning"
    assert "2 targets" in found["target"][-1]["found"]


def test_one_whose_relabelling_loses_the_phase(examined: Examined) -> None:
    answers = {
        "targets": {"activeTargets": []},
        "status/buildinfo": {"version": "3"},
        "query": {"result": [{"metric": {"job": "", "phase": "x"}, "value": [0, "1"]}]},
    }

    def answer(_: str, path: str) -> tuple[int, dict[str, str], str]:
        name = path.removeprefix("/api/v1/").partition("?")[0]
        return (200, {}, json.dumps({"data": answers[name]})) if name in answers else (404, {}, "")

    told: list[Any] = []
    with served(lambda method, path: (200, {}, "") if path == "/-/ready" else answer(method, path)) as (address, _):
        group = Group((("job", "j"), ("phase", "train")))
        prometheus.check_prometheus(address, parse("127.0.0.1:9"), group, told.append)
    assert (told[-1].check, told[-1].state) == ("arrival", "problem")
    assert "'phase': 'x'" in told[-1].found


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, '{"data": {"no": 1}}'), "does not answer as a Prometheus does"),
        ((200, '{"data": []}'), "does not answer as a Prometheus does"),
        ((503, "starting"), "503: starting"),
        ((200, "{}"), "is not a Prometheus"),
        ((200, "[" * 100_000), "is not a Prometheus"),
        ((200, '{"data": ' + "9" * 5_000 + "}"), "is not a Prometheus"),
        ((200, '{"data": {"version": ["1"]}}'), "does not answer as a Prometheus does"),
        ((200, '{"data": {"version": null}}'), "does not answer as a Prometheus does"),
        ((401, ""), "credentials are required"),
    ],
)
def test_one_that_is_none(answer: tuple[int, str], said: str, examined: Examined) -> None:
    with served(lambda method, path: (answer[0], {}, answer[1])) as (address, _):
        code, found = examined("--prometheus", address)
    assert code == 1
    assert said in the(found, "prometheus")[1]
    assert "no gateway" not in the(found, "prometheus")[1]


WORDS = st.sampled_from(
    ["", "9" * 400 + "s", "1s", "http://127.0.0.1:9", "up", "\ud800", "- job_name: a\n", "gangplank"]
)
LEAVES = st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), WORDS)
FIELDS = ["scrapeUrl", "scrapePool", "scrapeInterval", "lastError", "health", "metric", "job", "exported_job", "phase"]
RECORDS = st.dictionaries(st.sampled_from(FIELDS), st.one_of(LEAVES, st.dictionaries(st.sampled_from(FIELDS), LEAVES)))
SOME = st.one_of(LEAVES, RECORDS, st.lists(st.one_of(LEAVES, RECORDS), max_size=3))
API = st.fixed_dictionaries({"version": SOME, "activeTargets": SOME, "yaml": SOME, "result": SOME})


@given(st.one_of(SOME, API))
@example({"version": "1", "activeTargets": [{"scrapeUrl": "127.0.0.1:9", "scrapeInterval": "9" * 5_000 + "s"}]})
@settings(max_examples=500)
def test_one_that_answers_with_anything_is_no_traceback(data: Any) -> None:
    told: list[Check] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prometheus, "_LONGEST_WAIT", 0.0)
        patch.setattr(client.Client, "get", lambda *_: client.Response(json.dumps({"data": data}), None))
        group = Group((("job", "gangplank"), ("phase", "train")))
        prometheus.check_prometheus("127.0.0.1:1", parse("127.0.0.1:9"), group, told.append)
    assert told
    assert all(verb._line(check).isprintable() for check in told)  # noqa: SLF001


def test_one_alone_is_looked_at_without_a_gateway(gateway: Server, examined: Examined, tmp_path: Path) -> None:
    with scraping(tmp_path, gateway.address) as server:
        code, found = examined("--prometheus", server.url)
    assert code == 0
    assert the(found, "prometheus")[0] == "ok"


def test_one_is_looked_at_where_the_gateway_is_not_there(gateway: Server, examined: Examined, tmp_path: Path) -> None:
    with scraping(tmp_path, gateway.address) as server:
        code, found = examined(f"127.0.0.1:{free_port()}", "--prometheus", server.url)
    assert code == 1
    assert the(found, "target")[0] == "problem"
    assert "arrival" not in found
