"""`gangplank delete`: exactly the groups that were meant, and only once somebody agreed."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from support.verbs import BUILD_INFO, Terminal, either, gangplank, keys, put, put_at, run_page, served

TRAIN, TEST, VISION, CRON = (
    "job='a', phase='train'",
    "job='a', phase='test'",
    "job='a', phase='train', team='vision'",
    "job='cron'",
)


@pytest.fixture(params=["embedded", "real"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty gateway of either kind."""
    with either(request) as address:
        yield address


@pytest.fixture
def full(address: str) -> str:
    """A gateway with some groups."""
    put(address, run_page(), job="a", phase="train")
    put(address, run_page("finished"), job="a", phase="test")
    put(address, run_page(beat=610), job="a", phase="train", team="vision")
    put(address, "m 1\n", job="cron")
    return address


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--job", "a"], [CRON]),
        (["--job", "a", "--phase", "test"], [TRAIN, VISION, CRON]),
        (["--job", "a", "--label", "team=vision"], [TRAIN, TEST, CRON]),
        (["--job", "a", "--label", "team=", "--phase", "train"], [VISION, TEST, CRON]),
        (["--job", "cron"], [TRAIN, VISION, TEST]),
        (["--job", "A"], [TRAIN, VISION, TEST, CRON]),
        (["--job", "c"], [TRAIN, VISION, TEST, CRON]),
        (["--job", "a", "--label", "team=visio"], [TRAIN, VISION, TEST, CRON]),
        (["--job", "?", "--phase", "t*"], [CRON]),
        (["--job", "*"], []),
        (["--job", "[ac]*"], [TRAIN, VISION, TEST, CRON]),
        (["--job", "*", "--label", "team=*"], [TRAIN, TEST, CRON]),
    ],
)
def test_only_what_matches_is_deleted(full: str, options: list[str], left: list[str]) -> None:
    assert gangplank("delete", full, *options, "--yes") == 0
    assert keys(full) == left


def test_the_listing_says_whose_a_group_is_and_whether_it_runs(full: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert gangplank("delete", full, "--job", "*", "--yes") == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.rpartition("; last push ")[0] for line in lines] == [
        f"{TRAIN}; gangplank's; STILL RUNNING",
        f"{VISION}; gangplank's; running? (10 min)",
        f"{TEST}; gangplank's; finished",
        f"{CRON}; not gangplank's",
    ]
    assert last == "Deleted 4 groups."


@pytest.mark.parametrize(
    ("answer", "code"), [("y\n", 0), ("YES\n", 0), ("\n", 1), ("n\n", 1), ("", 1), ("yesterday\n", 1)]
)
def test_it_asks(
    full: str, answer: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert gangplank("delete", full, "--job", "a") == code
    assert "Delete these 3 groups? [y/N] " in capsys.readouterr().err
    assert keys(full) == ([CRON] if code == 0 else [TRAIN, VISION, TEST, CRON])


def test_ctrl_c_is_a_no(full: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Terminal("y\n", interrupt))
    assert gangplank("delete", full, "--job", "a") == 1
    assert len(keys(full)) == 4


def test_where_nothing_matches_nothing_is_asked(full: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("y\n", lambda: pytest.fail("asked")))
    assert gangplank("delete", full, "--job", "nonesuch") == 0


def test_on_a_real_terminal(full: str) -> None:
    ours, theirs = pty.openpty()
    program = (
        f"import sys; from support.verbs import gangplank; sys.exit(gangplank('delete', {full!r}, '--job', 'cron'))"
    )
    environment = {"PYTHONPATH": str(Path(__file__).parent.parent)}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment, stdin=theirs, stdout=subprocess.PIPE)
    os.write(ours, b"y\n")
    out, _ = process.communicate(timeout=30)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0
    assert out.endswith(b"Deleted 1 group.\n")
    assert keys(full) == [TRAIN, VISION, TEST]


def test_without_a_terminal_it_refuses(full: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert gangplank("delete", full, "--job", "a") == 2
    assert "stdin is not a terminal: give --yes" in capsys.readouterr().err
    assert len(keys(full)) == 4


@pytest.mark.parametrize(
    "options", [["--job", "a*"], ["--job", "a", "--phase", "t?ain"], ["--job", "a", "--label", "team=*"]]
)
def test_a_wildcard_wants_yes(
    full: str, options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert gangplank("delete", full, *options) == 2
    assert "give --yes" in capsys.readouterr().err
    assert len(keys(full)) == 4


@pytest.mark.parametrize("options", [[], ["--job", "a", "--label", "team"], ["--job", "a", "--label", "=x"]])
def test_a_command_line_that_makes_no_sense(address: str, options: list[str]) -> None:
    assert gangplank("delete", address, *options, "--yes") == 2


def test_json(full: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert gangplank("delete", full, "--job", "a", "--phase", "train", "--json") == 0
    train, vision = json.loads(capsys.readouterr().out)
    assert train.pop("pushed_at") > 0
    assert train == {
        "labels": {"job": "a", "phase": "train"},
        "gangplank": True,
        "state": "running",
        "running": True,
        "deleted": True,
        "error": None,
    }
    assert vision["running"] is False


VALUES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(job=VALUES, team=VALUES)
@example(job="..", team="/")
@example(job=" a/b ", team="é 鯨")
@example(job="job@base64", team="Lg==")
@example(job="a%2Fb?c#d", team="+&=;")
@example(job='"\\\n\r\t\x00\x85\u2028', team='{},"')
def test_odd_values_can_be_deleted(address: str, job: str, team: str) -> None:
    put(address, run_page(), job=job, phase="train", team=team)
    put(address, run_page(), job=f"{job}x", phase="train", team=team)
    if "*" not in job and "?" not in job:
        assert gangplank("delete", address, "--yes", f"--job={job}", f"--label=team={team}") == 0
        assert keys(address) == [f"job={job + 'x'!r}, phase='train', team={team!r}"]
    assert gangplank("delete", address, "--yes", "--job=*") == 0
    assert keys(address) == []


@pytest.mark.parametrize("path", ["/metrics/job/a/x@base64/=", "/metrics/job/a/instance@base64/=", "/metrics/job/a"])
def test_an_empty_label_in_a_key_is_no_shelter(address: str, path: str) -> None:
    put_at(address, path, "m 1\n")
    assert gangplank("delete", address, "--job", "a", "--yes") == 0
    assert keys(address) == []


def test_another_instance_is_another_group(address: str) -> None:
    put_at(address, "/metrics/job/a", "m 1\n")
    put_at(address, "/metrics/job/a/instance/i", "m 1\n")
    assert gangplank("delete", address, "--job", "a", "--label", "instance=i", "--yes") == 0
    assert keys(address) == ["job='a'"]


# Gateways that do not delete

PAGE = f'{BUILD_INFO}# TYPE push_time_seconds gauge\npush_time_seconds{{instance="",job="a"}} 5\n'


@pytest.mark.parametrize("status", [401, 403, 405, 307, 500])
def test_a_refusal_is_a_failure(status: int, capsys: pytest.CaptureFixture[str]) -> None:
    page = PAGE + 'push_time_seconds{instance="",job="b"} 5\n'
    with served(lambda method, path: (200 if method == "GET" else status, {}, page)) as (address, asked):
        assert gangplank("delete", f"http://me:canary@{address}", "--job", "*", "--yes") == 1
    captured = capsys.readouterr()
    assert [line.split()[:2] for line in asked] == [
        ["GET", "/metrics"],
        ["DELETE", "/metrics/job/a"],
        ["DELETE", "/metrics/job/b"],
    ]
    assert f"gangplank: not deleted: job='a': {address} answered {status}: " in captured.err
    assert ("GANGPLANK_PUSHGATEWAY_HOST" in captured.err) == (status in (401, 403))
    assert captured.out.endswith("Deleted nothing.\n")


def test_a_group_that_stays_is_not_reported_as_deleted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gangplank.cli.remote.gateway._DELETION_TIMEOUT", 0.1)
    page = PAGE + 'push_time_seconds{instance="i",job="b"} 5\n'
    with served(lambda method, path: (200, {}, page) if method == "GET" else (202, {}, "")) as (address, asked):
        assert gangplank("delete", address, "--job", "*", "--yes", "--json") == 1
    captured = capsys.readouterr()
    assert "not deleted: job='a': the gateway still holds it" in captured.err
    assert [group["deleted"] for group in json.loads(captured.out)] == [False, False]
    # What looks like no instance may be an empty one; another instance is none of both.
    assert [line for line in asked if line != "GET /metrics"] == [
        "DELETE /metrics/job/a",
        "DELETE /metrics/job/b/instance/i",
        "DELETE /metrics/job/a/instance@base64/=",
    ]
