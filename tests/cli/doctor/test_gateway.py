"""`gangplank doctor` and a gateway that is well, and one that is not."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import gangplank
from gangplank.cli import main
from gangplank.cli.doctor import prometheus
from gangplank.cli.remote import client
from gangplank.core.sinks.credentials import PREFIX
from gangplank.testing.gateway import Gateway
from gangplank.testing.gateway.handler import Handler
from support.examined import Examined, left, states, the
from support.servers import USERS, Server, free_port, get, pushgateway
from support.verbs import BUILD_INFO, put, served


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
        assert "which panics if it refuses a page" in the(found, "push")[1]
        assert not left(real.address)


def test_what_runs_of_ours_push_has_our_names(address: str, examined: Examined) -> None:
    for phase in ("train", "validate", "test", "predict"):
        with gangplank.run(address, "digits", phase, histogram_buckets=[-0.1, 0.1], ignore_exceptions=False) as run:
            run.step({"loss": 0.5}, duration=0.1, data_wait=0.1, forward=0.1)
            run.record({"loss": 0.5, "doctor": 1.0}, learning_rates={"a": 1.0}, parameters=(2, 1), weights=[[0.2]])
    code, found = examined(address)
    assert (code, states(found)["names"]) == (0, "ok")


def test_the_pushed_group_has_what_breaks_gateways(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def look(*_: object) -> None:
        seen.append(get(f"http://{address}/metrics"))

    monkeypatch.setattr(prometheus, "check_prometheus", look)
    assert main(["doctor", address, "--prometheus", "127.0.0.1:1"]) == 0
    (page,) = seen
    assert re.search(r"^gangplank_train_learning_rate\{.*\} NaN$", page, re.MULTILINE)
    assert re.search(r'^gangplank_train_model_weights_bucket\{.*le="-0.3".*\} 1$', page, re.MULTILINE)
    assert re.search(r"^gangplank_train_model_weights_sum\{.*\} -0\.65$", page, re.MULTILINE)
    assert re.search(r'^gangplank_run_state\{.*state="running"\} 0$', page, re.MULTILINE)  # it wakes nobody
    assert not left(address)


# A gateway that is not


def test_nobody_listens(examined: Examined) -> None:
    code, found = examined(f"127.0.0.1:{free_port()}")
    assert code == 1
    assert the(found, "gateway")[0] == "problem"
    assert "cannot reach 127.0.0.1:" in the(found, "gateway")[1]
    assert "push" not in found


def test_a_gateway_that_hangs(gateway: Server, examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGE_TIMEOUT", 0.3)
    gateway.freeze()
    code, found = examined(gateway.address)
    assert code == 1
    assert the(found, "gateway") == ("problem", f"{gateway.address} did not answer within 0.3 s: ")


@pytest.mark.parametrize(
    ("answer", "said"), [((200, "hello\n"), "is not a Pushgateway"), ((404, "not here"), "answered 404: not here")]
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
    with pushgateway(tmp_path, config=USERS) as server:
        yield server


@pytest.mark.parametrize(
    ("who", "said"), [("", "credentials are required, but none were given: "), ("me:x@", "are refused: ")]
)
def test_a_gateway_that_knows_us_not(guarded: Server, examined: Examined, who: str, said: str) -> None:
    code, found = examined(f"http://{who}{guarded.address}")
    assert code == 1
    assert said in the(found, "gateway")[1]
    assert "answered 401" in the(found, "gateway")[1]
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
