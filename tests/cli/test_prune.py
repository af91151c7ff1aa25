"""`gangplank prune`: old runs of gangplank's by the gateway's clock, and never anybody else's groups."""

from __future__ import annotations

import argparse
import email.utils
import json
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gangplank as library
from gangplank.cli.prune import UNITS, duration
from gangplank.testing.gateway import Gateway
from gangplank.testing.gateway.handler import Handler
from support.verbs import BUILD_INFO, Terminal, either, gangplank, keys, put, run_page, served

DAY = 86_400
OLD, NEW, FOREIGN, PUBLISHED = "job='old', phase='train'", "job='new', phase='train'", "job='cron'", "job='published'"


@pytest.fixture(params=["embedded", "real"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty gateway of either kind."""
    with either(request) as address:
        yield address


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A gateway whose clock is ten years slow; more than a week passed there between its old groups and its new one."""
    there = time.time() - 3_650 * DAY

    def at(moment: float) -> None:
        monkeypatch.setattr("gangplank.testing.gateway.store.time", SimpleNamespace(time=lambda: moment))
        monkeypatch.setattr(Handler, "date_time_string", lambda *_: email.utils.formatdate(moment, usegmt=True))

    with Gateway() as gateway:
        at(there - 8.5 * DAY)
        put(gateway.address, run_page(), job="old", phase="train")
        put(gateway.address, "m 1\n", job="cron")
        put(gateway.address, "gangplank_train_loss 1\n", job="published")
        put(gateway.address, "m 1\nm 1\n", job="refused", phase="train", accepted=False)
        at(there - 6 * DAY)
        put(gateway.address, run_page(), job="new", phase="train")
        at(there)
        yield gateway.address


REST = [FOREIGN, NEW, PUBLISHED, "job='refused', phase='train'"]
ALL = [FOREIGN, NEW, OLD, PUBLISHED, "job='refused', phase='train'"]


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--older-than", "7d"], REST),
        (["--older-than", "1w"], REST),
        (["--older-than", "9d"], ALL),
        (["--older-than", "5d25h"], REST),
        (["--older-than", "5d23h"], [held for held in REST if held != NEW]),
        (["--older-than", "7d", "--job", "new"], ALL),
        (["--older-than", "7d", "--job", "o*"], REST),
    ],
)
def test_old_runs_go_by_the_gateways_own_clock(later: str, options: list[str], left: list[str]) -> None:
    assert gangplank("prune", later, *options, "--yes") == 0
    assert keys(later) == left


def test_a_dry_run_lists_and_deletes_nothing(later: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert gangplank("prune", later, "--older-than", "7d", "--dry-run") == 0
    assert capsys.readouterr().out == (
        f"{OLD}; gangplank's; running? (8 days); last push 8 days ago\nWould delete 1 group.\n"
    )
    assert gangplank("prune", later, "--older-than", "7d", "--dry-run", "--yes", "--json") == 0
    [group] = json.loads(capsys.readouterr().out)
    assert (group["labels"]["job"], group["deleted"]) == ("old", False)
    assert keys(later) == ALL


def test_it_asks_and_without_a_terminal_refuses(
    later: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gangplank("prune", later, "--older-than", "7d") == 2
    assert "give --yes" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert gangplank("prune", later, "--older-than", "7d") == 1
    assert keys(later) == ALL
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert gangplank("prune", later, "--older-than", "7d") == 0
    assert "Delete this group? [y/N] " in capsys.readouterr().err
    assert keys(later) == REST


def test_what_is_pushed_to_while_somebody_thinks_stays(later: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("y\n", lambda: put(later, run_page(), job="old", phase="train")))
    assert gangplank("prune", later, "--older-than", "7d") == 0
    assert keys(later) == ALL


def test_real_runs_on_either_gateway(address: str) -> None:
    for job in ("old", "new"):
        with library.run(address, job, ignore_exceptions=False) as run:
            run.record({"loss": 0.5}, epoch=0)
        if job == "old":
            put(address, "m 1\n", job="cron")
            time.sleep(3)
    assert gangplank("prune", address, "--older-than", "2s", "--yes") == 0
    assert keys(address) == [FOREIGN, NEW]


def test_a_gateway_that_does_not_say_its_time_is_not_pruned(capsys: pytest.CaptureFixture[str]) -> None:
    labels = '{instance="",job="a",phase="train"}'
    page = f"{BUILD_INFO}gangplank_run_epoch{labels} 1\npush_time_seconds{labels} 5\n"
    with served(lambda *_: (200, {}, page)) as (address, asked):
        assert gangplank("prune", address, "--older-than", "7d", "--yes") == 1
    assert "its response has no Date header" in capsys.readouterr().err
    assert asked == ["GET /metrics"]


@given(st.lists(st.integers(0, 999) | st.none(), min_size=5, max_size=5).filter(lambda numbers: numbers != [None] * 5))
def test_durations(numbers: list[int | None]) -> None:
    given = [(number, unit) for number, unit in zip(numbers, "wdhms", strict=True) if number is not None]
    lengths = dict(zip("wdhms", (7 * DAY, DAY, 3600, 60, 1), strict=True))
    assert duration("".join(f"{number}{unit}" for number, unit in given)) == sum(
        number * lengths[unit] for number, unit in given
    )


@given(st.text(st.sampled_from("0123wdhms .-+²٣e"), max_size=6))
def test_what_is_taken_for_a_duration_is_numbers_with_units_from_the_longest_on(text: str) -> None:
    try:
        duration(text)
    except argparse.ArgumentTypeError:
        return
    units = [character for character in text if not character.isdigit()]
    assert units == sorted(set(units), key="wdhms".index)
    assert all(
        number.isascii() and number.isdigit()
        for number in text.translate(dict.fromkeys(map(ord, "wdhms"), " ")).split(" ")[:-1]
    )
    assert text.endswith(tuple(UNITS))


@pytest.mark.parametrize("text", ["", "7", "d", "12h1d", "1d1d", "-1d", "1.5d", "1D", " 1d", "1d ", "٣d", "1y", "1d\n"])
def test_a_malformed_duration_is_a_wrong_command_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert gangplank("prune", "127.0.0.1:1", f"--older-than={text}", "--yes") == 2
    assert "is not a duration: write 7d, 1d12h or 90m" in capsys.readouterr().err
