"""`gangplank doctor` and what others left on a gateway."""

from __future__ import annotations

import pytest

from gangplank.cli.doctor import gateway as checks
from support.examined import HISTOGRAM, Examined, left, states, the
from support.servers import Server
from support.verbs import BUILD_INFO, put, run_page, served


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
    assert "gangplank_train_loss: the HELP differs from gangplank's, in the group job='x'" in said.replace(
        "gangplank_run_epoch; ", ""
    )


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
    assert the(examined(address)[1], "runs") == ("ok", "1 running, with recent heartbeats: ")
    put(address, run_page(beat=400), job="dead", phase="train")
    code, found = examined(address)
    assert code == 0
    state, said = the(found, "runs")
    assert state == "warning"
    assert "1 of 2 running, no recent heartbeat: job='dead', phase='train' (6 min)" in said


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
