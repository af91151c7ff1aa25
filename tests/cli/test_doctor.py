"""`gangplank doctor`: each trouble is found and cured by what it says, and nothing of its own stays on a gateway."""

from __future__ import annotations

import email.utils
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import gangplank
from faults import proxy as proxies
from faults.proxy import proxying
from gangplank.cli import adapters, checks, client, doctor, main, probe, prometheus
from gangplank.core.address import parse
from gangplank.core.credentials import PREFIX
from gangplank.core.snapshot import Group
from gangplank.testing.gateway import Gateway
from gangplank.testing.gateway.handler import Handler
from reading import eventually
from servers import Server, free_port, get, pushgateway
from servers import prometheus as scraping
from strangers import environment, install
from verbs import BUILD_INFO, either, put, run_page, served

# The bcrypt hash of "canary".
USERS = "basic_auth_users: {me: $2b$04$oYMHmYwvhvck4h3jr0/Bcucp.F3vOFz2814i17MFR/Iiv49H82kKK}\n"
HISTOGRAM = '# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n'


@pytest.fixture(autouse=True)
def _at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with an environment that says nothing; frameworks, which take seconds to import, are taken to work."""
    for name in doctor.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(adapters, "_problem", lambda adapter: "")


@pytest.fixture(params=["embedded", "real"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty gateway of either kind."""
    with either(request) as address:
        yield address


Found = dict[str, list[dict[str, str]]]


@pytest.fixture
def examined(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Found]]:
    """Runs the verb; returns its exit code, and what it found by the check's name."""

    def run(*arguments: str) -> tuple[int, Found]:
        code = main(["doctor", *arguments, "--json"])
        found: Found = defaultdict(list)
        for check in json.loads(capsys.readouterr().out):
            assert list(check) == ["check", "state", "found", "cure"]
            found[check["check"]].append(check)
        assert code == int(any(check["state"] == "problem" for every in found.values() for check in every))
        assert set(states(found).values()) <= {"ok", "warning", "problem"}
        return code, found

    return run


def states(found: Found) -> dict[str, str]:
    """Return how the last check of each name stands."""
    return {name: every[-1]["state"] for name, every in found.items()}


def the(found: Found, check: str) -> tuple[str, str]:
    """Return how the one check of a name stands, and all that it says."""
    (one,) = found[check]
    return one["state"], f"{one['found']}: {one['cure']}"


def left(address: str) -> list[str]:
    """Return the jobs of the doctor's that a gateway shows."""
    return re.findall(r"gangplank-doctor-\w+", get(f"http://{address}/metrics"))


Examined = Callable[..., tuple[int, Found]]


# A gateway that is well


def test_a_gateway_that_is_well_is_said_to_be_and_left_as_it_was(
    address: str, examined: Examined, capsys: pytest.CaptureFixture[str]
) -> None:
    put(address, "m 1\n", job="cron")
    code, found = examined(address)
    assert code == 0
    assert set(states(found).values()) == {"ok"}
    assert {"gateway", "clock", "size", "labels", "names", "runs", "push", "delete"} < found.keys()
    assert not left(address)
    assert main(["doctor", address]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines.pop() == "All is well."
    assert all(line.startswith("ok       ") for line in lines)


def test_it_says_who_answers_and_how_fast(gateway: Server, examined: Examined) -> None:
    found = examined(gateway.address)[1]["gateway"][0]["found"]
    assert re.fullmatch(rf"{gateway.address} is Pushgateway 1\.\S+; its page took \d+ ms", found)


def test_it_warns_of_the_version_that_panics(tmp_path: Path, examined: Examined) -> None:
    with pushgateway(tmp_path, generation="debian13") as real:
        code, found = examined(real.address)
        state, said = the(found, "gateway")
        assert (code, state) == (0, "warning")
        assert "is Pushgateway 1.11.0" in said
        assert "this version panics and hangs up" in said
        put(real.address, "# TYPE gangplank_train_doctor counter\ngangplank_train_doctor 1\n", job="careless")
        code, found = examined(real.address)
        assert code == 1
        assert "which panics where it refuses a page" in the(found, "push")[1]
        assert not left(real.address)


def test_what_runs_of_ours_push_has_our_names(address: str, examined: Examined) -> None:
    for phase in ("train", "validate", "test", "predict"):
        with gangplank.Run(address, "digits", phase, histogram_buckets=[-0.1, 0.1], ignore_exceptions=False) as run:
            run.step({"loss": 0.5}, duration=0.1, data_wait=0.1, forward=0.1)
            run.record({"loss": 0.5, "doctor": 1.0}, learning_rates={"a": 1.0}, parameters=(2, 1), weights=[[0.2]])
    code, found = examined(address)
    assert (code, states(found)["names"]) == (0, "ok")


def test_the_pushed_group_has_what_breaks_gateways(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def look(*_: object) -> None:
        seen.append(get(f"http://{address}/metrics"))

    monkeypatch.setattr(prometheus, "examine", look)
    assert main(["doctor", address, "--prometheus", "127.0.0.1:1"]) == 0
    (page,) = seen
    assert re.search(r"^gangplank_train_doctor\{.*\} NaN$", page, re.MULTILINE)
    assert re.search(r'^gangplank_train_model_weights_bucket\{.*le="-0.3".*\} 1$', page, re.MULTILINE)
    assert re.search(r"^gangplank_train_model_weights_sum\{.*\} -0\.65$", page, re.MULTILINE)
    assert re.search(r'^gangplank_run_state\{.*state="running"\} 0$', page, re.MULTILINE)  # it wakes nobody
    assert not left(address)


# A gateway that is not


def test_nobody_listens(examined: Examined) -> None:
    code, found = examined(f"127.0.0.1:{free_port()}")
    assert code == 1
    assert the(found, "gateway")[0] == "problem"
    assert "no gateway answers" in the(found, "gateway")[1]
    assert "push" not in found


def test_a_gateway_that_hangs(gateway: Server, examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_TIMEOUT", 0.3)
    gateway.freeze()
    code, found = examined(gateway.address)
    assert code == 1
    assert the(found, "gateway") == ("problem", f"no gateway answers on {gateway.address}: timed out: ")


@pytest.mark.parametrize(
    ("answer", "said"), [((200, "hello\n"), "is no Pushgateway"), ((404, "not here"), "HTTP Error 404")]
)
def test_somebody_else_listens(answer: tuple[int, str], said: str, examined: Examined) -> None:
    with served(lambda method, path: (answer[0], {}, answer[1])) as (address, asked):
        code, found = examined(address)
    assert code == 1
    assert said in the(found, "gateway")[1]
    assert asked == ["GET /metrics"]  # nothing is pushed to a stranger


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Server]:
    """A gateway that wants a password."""
    config = tmp_path / "web.yml"
    config.write_text(USERS)
    with pushgateway(tmp_path, f"--web.config.file={config}", scheme="https") as server:
        yield server


@pytest.mark.parametrize(
    ("who", "said"), [("", "credentials are wanted, and none were given (401)"), ("me:x@", "are refused (401)")]
)
def test_a_gateway_that_knows_us_not(guarded: Server, examined: Examined, who: str, said: str) -> None:
    code, found = examined(f"http://{who}{guarded.address}")
    assert code == 1
    assert said in the(found, "gateway")[1]
    assert f"{PREFIX}HOST" in the(found, "gateway")[1]


@pytest.mark.parametrize("way", ["the address", "the environment"])
def test_a_gateway_that_knows_us(
    guarded: Server, examined: Examined, way: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    who = "me:canary@" if way == "the address" else ""
    if not who:
        for name, value in {"HOST": "127.0.0.1", "USERNAME": "me", "PASSWORD": "canary"}.items():
            monkeypatch.setenv(f"{PREFIX}{name}", value)
    code, found = examined(f"http://{who}{guarded.address}")
    assert code == 0
    assert states(found)["delete"] == "ok"
    assert "canary" not in str(found) + str(capsys.readouterr())


def test_the_environments_password_is_for_another_host(
    gateway: Server, examined: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"HOST": "other", "USERNAME": "me", "PASSWORD": "canary"}.items():
        monkeypatch.setenv(f"{PREFIX}{name}", value)
    code, found = examined(gateway.address)
    assert code == 0
    assert "is for other" in found["gateway"][0]["found"]


@pytest.mark.parametrize(
    ("skew", "state", "said"),
    [(0, "ok", "agrees"), (25, "ok", "agrees"), (-120, "warning", "2 min behind"), (90, "warning", "1 min ahead of")],
)
def test_the_clocks(skew: float, state: str, said: str, examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    there = lambda *_: email.utils.formatdate(time.time() + skew, usegmt=True)  # noqa: E731
    monkeypatch.setattr(Handler, "date_time_string", there)
    with Gateway() as gateway:
        code, found = examined(gateway.address)
    assert code == 0
    assert the(found, "clock")[0] == state
    assert said in the(found, "clock")[1]


def test_a_gateway_without_a_clock_that_takes_no_push(examined: Examined) -> None:
    with served(lambda method, path: (200, {}, BUILD_INFO)) as (address, asked):
        code, found = examined(address)
    assert code == 1
    assert the(found, "clock")[0] == "warning"
    assert the(found, "push")[0] == "problem"
    assert any(request.startswith("DELETE") for request in asked)  # who knows
    assert "delete" not in found


# What others left there


@pytest.mark.parametrize("name", ["gangplank_run_epoch", "gangplank_train_doctor", "gangplank_train_loss"])
def test_a_family_of_ours_with_another_type(address: str, examined: Examined, name: str) -> None:
    put(address, f"# TYPE {name} counter\n{name} 1\n", job="alien")
    code, found = examined(address)
    assert code == 1
    state, said = the(found, "names")
    assert state == "problem"
    assert name in said
    assert "job='alien'" in said
    clashes = name != "gangplank_train_loss"  # which the doctor does not push, and a run would
    assert (states(found)["push"] == "problem") == clashes
    assert not left(address)  # not even as a group that was never accepted


def test_a_family_of_ours_with_another_help(address: str, examined: Examined) -> None:
    put(address, "# HELP gangplank_run_epoch The epoch.\n# TYPE gangplank_run_epoch gauge\n", job="empty")
    put(
        address,
        "# HELP gangplank_train_loss A loss.\n# TYPE gangplank_train_loss gauge\ngangplank_train_loss 1\n",
        job="x",
    )
    put(address, "# TYPE gangplank_company_thing counter\ngangplank_company_thing 1\n", job="y")
    code, found = examined(address)
    assert code == 0
    state, said = the(found, "names")
    assert state == "warning"
    assert "HELP is not ours of gangplank_train_loss, in the group job='x'" in said.replace("gangplank_run_epoch; ", "")


def test_a_label_that_breaks_the_page(address: str, examined: Examined) -> None:
    put(address, "m 1\n", job="careless", le="5")
    code, found = examined(address)
    assert code == 0
    assert the(found, "labels")[0] == "warning"
    put(address, HISTOGRAM, job="broken", le="5")
    code, found = examined(address)
    assert code == 1
    state, said = the(found, "labels")
    assert state == "problem"
    assert "job='broken', le='5'" in said
    assert states(found)["delete"] == "ok"
    assert not left(address)


def test_a_bucket_beside_a_label_that_ends_in_le_breaks_nothing(address: str, examined: Examined) -> None:
    put(address, HISTOGRAM, job="fine", role='x",le="5', table="5")
    assert states(examined(address)[1])["labels"] == "ok"


def test_runs_that_are_silent(address: str, examined: Examined) -> None:
    put(address, run_page(beat=10), job="alive", phase="train")
    put(address, run_page("finished", beat=4_000), job="done", phase="train")
    assert the(examined(address)[1], "runs") == ("ok", "1 running, and heard of within the last minutes: ")
    put(address, run_page(beat=400), job="dead", phase="train")
    code, found = examined(address)
    assert code == 0
    state, said = the(found, "runs")
    assert state == "warning"
    assert "1 of 2 running, and not heard of: job='dead', phase='train' (6 min)" in said


@pytest.mark.parametrize("limit", ["MOST_SERIES", "MOST_BYTES"])
def test_a_page_that_is_too_long(
    gateway: Server, examined: Examined, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert the(examined(gateway.address)[1], "size")[0] == "ok"
    monkeypatch.setattr(checks, limit, 20)
    code, found = examined(gateway.address)
    assert code == 0
    assert the(found, "size")[0] == "warning"


def test_a_page_that_cannot_be_read(examined: Examined) -> None:
    with served(lambda method, path: (200, {}, BUILD_INFO + "gangplank_x{ 1\n")) as (address, _):
        code, found = examined(address)
    assert code == 1
    assert the(found, "groups")[0] == "problem"


# The throw-away group goes, whatever happens


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (gangplank.GangplankError("no"), 1)])
def test_it_is_deleted_when_something_breaks_off(
    address: str, error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def breaks(*_: object) -> None:
        seen.extend(left(address))
        raise error

    monkeypatch.setattr(prometheus, "examine", breaks)
    assert main(["doctor", address, "--prometheus", "127.0.0.1:1"]) == code
    assert seen
    assert not left(address)


def test_it_is_deleted_on_ctrl_c(gateway: Server, tmp_path: Path) -> None:
    with scraping(tmp_path, f"127.0.0.1:{free_port()}") as server:
        command = [sys.executable, "-m", "gangplank", "doctor", gateway.address, "--prometheus", server.url]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert process.stderr.readline().startswith("Waiting up to 126 s")
        assert left(gateway.address)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == "gangplank: interrupted\n"
    assert "the throw-away group is deleted, and gone" in out
    assert not left(gateway.address)


def test_a_gateway_that_refuses_to_delete(examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    serve = Handler._group  # noqa: SLF001  whose answers are changed

    def refuses(self: Handler, path: str, body: bytes) -> None:
        if self.command == "DELETE":
            self.send_error(403, "not you")
        else:
            serve(self, path, body)

    with Gateway() as gateway:
        monkeypatch.setattr(Handler, "_group", refuses)
        monkeypatch.setattr(probe, "_PATIENCE", 0.1)
        code, found = examined(gateway.address)
        assert code == 1
        state, said = the(found, "delete")
        assert state == "problem"
        assert "403: not you" in said
        monkeypatch.setattr(Handler, "_group", serve)
        cure = found["delete"][0]["cure"].split()
        assert main(cure[1:]) == 0
        assert not left(gateway.address)


def test_a_gateway_that_dies_meanwhile(gateway: Server, examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "examine", lambda *_: gateway.stop())
    code, found = examined(gateway.address, "--prometheus", "127.0.0.1:1")
    assert code == 1
    assert the(found, "delete")[0] == "problem"


def test_a_page_from_a_cache_does_not_show_what_was_pushed(examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    with Gateway() as gateway:
        stale = get(f"{gateway.url}/metrics")
        monkeypatch.setattr(Handler, "_page", lambda self, path: self._answer(200, stale))
        monkeypatch.setattr(probe, "_PATIENCE", 0.1)
        code, found = examined(gateway.address)
    assert code == 1
    assert "does not show gangplank_train_doctor" in the(found, "push")[1]


# Prometheus


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


def test_one_that_does_not_scrape_it_and_the_cure_is_a_config(
    gateway: Server, examined: Examined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus, "_USUAL_INTERVAL", 0.1)
    monkeypatch.setattr(prometheus, "_START", 0.1)
    with scraping(tmp_path, f"127.0.0.1:{free_port()}") as server:
        code, found = examined(gateway.address, "--prometheus", server.url)
        assert code == 1
        assert the(found, "target")[0] == the(found, "arrival")[0] == "problem"
        cure = found["target"][0]["cure"].removeprefix("add to its scrape_configs: ")
        (tmp_path / "prometheus.yml").write_text(f"global: {{scrape_interval: 250ms}}\nscrape_configs:\n{cure}\n")
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
        prometheus.examine(address, parse("127.0.0.1:9"), group, told.append)
    assert (told[-1].check, told[-1].state) == ("arrival", "problem")
    assert "'phase': 'x'" in told[-1].found


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, '{"data": {"no": 1}}'), "answers as no Prometheus does"),
        ((200, '{"data": []}'), "answers as no Prometheus does"),
        ((503, "starting"), "503: starting"),
        ((200, "{}"), "is no Prometheus"),
        ((401, ""), "credentials are wanted"),
    ],
)
def test_one_that_is_none(answer: tuple[int, str], said: str, examined: Examined) -> None:
    with served(lambda method, path: (answer[0], {}, answer[1])) as (address, _):
        code, found = examined("--prometheus", address)
    assert code == 1
    assert said in the(found, "prometheus")[1]
    assert "no gateway" not in the(found, "prometheus")[1]


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


# Other destinations


def test_a_file(examined: Examined, tmp_path: Path) -> None:
    code, found = examined(f"file://{tmp_path}/digits.prom")
    assert code == 0
    assert f"--collector.textfile.directory={tmp_path}" in the(found, "destination")[1]
    assert not list(tmp_path.iterdir())
    for wrong in (f"{tmp_path}/digits.txt", f"{tmp_path}/none/digits.prom"):
        code, found = examined(f"file://{wrong}")
        assert code == 1
        assert the(found, "destination")[0] == "problem"


def test_a_port_to_be_scraped(examined: Examined) -> None:
    assert the(examined("scrape://127.0.0.1:0")[1], "destination")[0] == "ok"
    with socket.create_server(("127.0.0.1", 0)) as busy:
        code, found = examined(f"scrape://127.0.0.1:{busy.getsockname()[1]}")
    assert code == 1
    assert "Address already in use" in the(found, "destination")[1]


def test_a_scheme_that_nobody_knows(examined: Examined, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = examined("kafka://me:canary@broker:1")
    assert code == 1
    assert "kafka://broker:1: no scheme of" in the(found, "destination")[1]
    assert "canary" not in str(found)


# This machine


@pytest.mark.parametrize(
    ("variables", "state", "said"),
    [
        ({}, "ok", "nothing set"),
        ({"GANGPLANK_DISABLED": "0"}, "ok", "GANGPLANK_DISABLED set"),
        ({"GANGPLANK_DISABLED": "1"}, "warning", "turns every exporter off"),
        ({"GANGPLANK_DISABLE_PLUGIN": "a"}, "warning", "write GANGPLANK_DISABLE_PLUGINS"),
        ({"GANGPLANK_COLOUR_OF_THE_SKY": "a"}, "warning", "unset it"),
        ({"GANGPLANK_PLUGINS": " "}, "warning", "lets no plugin in"),
        ({f"{PREFIX}PASSWORD": "canary"}, "problem", f"set {PREFIX}HOST to the host"),
        ({f"{PREFIX}HOST": "http://gateway:9091"}, "problem", "write host or host:port"),
        ({f"{PREFIX}HOST": "g", f"{PREFIX}USERNAME": "me"}, "warning", f"{PREFIX}PASSWORD is not"),
        ({f"{PREFIX}HOST": "g", f"{PREFIX}PASSWORD": "canary"}, "warning", f"{PREFIX}USERNAME is not"),
        ({f"{PREFIX}HOST": "g", f"{PREFIX}KEY_FILE": __file__}, "warning", f"{PREFIX}CERT_FILE is not"),
        ({f"{PREFIX}HOST": "g", f"{PREFIX}CA_FILE": "/nonesuch"}, "problem", "cannot be read"),
        ({f"{PREFIX}HOST": "g", f"{PREFIX}CA_FILE": __file__}, "ok", "CA_FILE"),
    ],
)
def test_the_environment(
    variables: dict[str, str], state: str, said: str, examined: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = examined()[1]
    assert found["environment"][0]["state"] == state
    assert any(said in f"{check['found']}: {check['cure']}" for check in found["environment"])
    assert "canary" not in str(found)


def test_it_knows_every_variable_of_ours() -> None:
    source = Path(gangplank.__file__).parent
    text = "".join(file.read_text() for file in source.rglob("*.py"))
    assert set(re.findall(r"GANGPLANK_[A-Z_]*[A-Z]", text)) <= {*doctor.VARIABLES, PREFIX.rstrip("_")}


def test_an_environment_that_no_gateway_can_be_used_with(
    gateway: Server, examined: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}PASSWORD", "canary")
    code, found = examined(gateway.address, "--prometheus", gateway.address)
    assert code == 1
    assert the(found, "gateway")[0] == the(found, "prometheus")[0] == found["environment"][0]["state"] == "problem"


def process(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gangplank", "doctor", *arguments]
    return subprocess.run(
        command, env=environment(folder, **variables), capture_output=True, text=True, timeout=100, check=False
    )


def test_plugins_and_adapters_that_are_not_well(tmp_path: Path) -> None:
    install(tmp_path, "keras", "raise ImportError('a broken Keras')")  # in place of the installed one
    install(tmp_path, "broken_one", "raise ImportError('no such library')")
    install(
        tmp_path,
        "confused",
        """
        from gangplank import hookimpl
        @hookimpl
        def gangplank_snapshots(run): pass
        @hookimpl
        def gangplank_adapters(): return ["keras"]
        @hookimpl
        def gangplank_open_sink(address):
            if address.startswith("kafka:"): return gangplank_adapters
        """,
    )
    done = process(
        tmp_path,
        "kafka://broker:1",
        GANGPLANK_DISABLE_PLUGINS="keras,other",
        GANGPLANK_PLUGINS="x keras confused broken_one",
    )
    said = done.stdout
    assert done.stderr == ""
    assert done.returncode == 1
    assert re.search(r"^ok +plugins +keras \(.*\) is switched off by GANGPLANK_DISABLE_PLUGINS$", said, re.MULTILINE)
    assert re.search(
        r"^problem +plugins +broken_one \(broken_one 1.0\) is broken: ImportError: no such library -> mend",
        said,
        re.MULTILINE,
    )
    assert re.search(
        r"^warning +plugins +confused .*gangplank_snapshots.*GANGPLANK_DISABLE_PLUGINS=confused$", said, re.MULTILINE
    )
    assert re.search(r"^warning +plugins +GANGPLANK_DISABLE_PLUGINS names other, ", said, re.MULTILINE)
    assert re.search(r"^warning +plugins +GANGPLANK_PLUGINS names x, ", said, re.MULTILINE)
    assert re.search(
        r"^warning +plugins +The plugin confused raised in gangplank_adapters: TypeError", said, re.MULTILINE
    )
    assert re.search(
        r"^warning +adapter +keras: .*cannot be imported: ImportError: a broken Keras$", said, re.MULTILINE
    )
    assert re.search(
        r"^problem +destination +the plugin confused opened <function .*, which is no gangplank.Sink$",
        said,
        re.MULTILINE,
    )
    assert said.splitlines()[-1] == "2 problems, 5 warnings."


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("raise SystemExit(3)", "; kafka raised SystemExit: 3"),
        ("return Kafka()", "kafka://broker:1 is opened by a plugin, as a Kafka"),
    ],
)
def test_a_plugin_that_opens_a_destination(more: str, said: str, tmp_path: Path) -> None:
    sink = "class Kafka:\n    def send(self, page, timeout): pass\n    def close(self): pass\n"
    hook = f"from gangplank import hookimpl\n@hookimpl\ndef gangplank_open_sink(address): {more}\n"
    install(tmp_path, "kafka", sink + hook)
    done = process(tmp_path, "kafka://broker:1")
    assert f"{said}\n" in done.stdout
    assert done.returncode == ("Kafka" not in more)


def test_packages_that_cannot_be_read_are_a_problem(tmp_path: Path) -> None:
    install(tmp_path, "wrong", "")
    (tmp_path / "wrong-1.0.dist-info" / "entry_points.txt").write_text("[others]\ngarbage\n")
    done = process(tmp_path)
    assert done.returncode == 0
    assert "The entry points of wrong cannot be read" in done.stdout
    assert "Traceback" not in done.stderr


def test_two_plugins_of_one_name_are_a_problem(tmp_path: Path) -> None:
    for name in ("one", "two"):
        install(tmp_path, name, "", plugin="same")
    done = process(tmp_path)
    assert done.returncode == 1
    assert re.search(r"^problem +plugins +two plugins claim the name 'same'", done.stdout, re.MULTILINE)


def test_it_needs_nothing_but_the_core(gateway: Server, capsys: pytest.CaptureFixture[str]) -> None:
    needless = ("rich", "keras", "sklearn", "yaml", "requests")
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({needless})); from gangplank.cli import main; "
        f"sys.exit(main(['doctor', '{gateway.address}']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(
        "^ok +adapter +keras: keras is not installed: in a checkout of gangplank, run pip install",
        done.stdout,
        re.MULTILINE,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["me:canary@gateway"],
        ["http://"],
        ["gateway:port"],
        ["gateway:1", "--prometheus", "ftp://me:canary@x"],
        ["--prometheus", "x"],
        ["a:1", "b:1"],
    ],
)
def test_a_command_line_that_makes_no_sense(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(["doctor", *arguments])
    except SystemExit as error:
        code = int(error.code or 0)
    out, said = capsys.readouterr()
    assert (code, out) == (2, "")
    assert re.search("^gangplank( doctor)?: ", said, re.MULTILINE)
    assert "canary" not in said


@pytest.mark.parametrize(
    ("terminal", "no_colour", "coloured"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_colour_is_for_terminals(
    terminal: bool,
    no_colour: str,
    coloured: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NO_COLOR", no_colour)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    main(["doctor"])
    assert ("\x1b[32mok" in capsys.readouterr().out) == coloured


def test_what_strangers_say_does_nothing_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with served(lambda method, path: (404, {}, "\x1b[31mred\nand more")) as (address, _):
        assert main(["doctor", address]) == 1
    assert "\x1b" not in capsys.readouterr().out
