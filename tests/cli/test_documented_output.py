"""What docs/command-line.md shows of `show`, `delete` and `prune` is what they print."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from gangplank.core.sinks.pushgateway import path_of
from gangplank.core.types import Group
from gangplank.testing.gateway import Gateway
from support.verbs import Terminal, gangplank, put, put_at, run_page

DOCUMENT = Path(__file__).parents[2] / "docs" / "command-line.md"
ADDRESS = "127.0.0.1:9091"
MINUTE, DAY = 60, 86_400


def example(command: str) -> list[str]:
    """Return the lines that the document shows under a command."""
    return DOCUMENT.read_text().partition(f"$ {command}\n")[2].partition("\n```")[0].splitlines()


class Past:
    """A gateway to which groups are pushed as if it were long ago."""

    def __init__(self, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.address = address
        self._monkeypatch = monkeypatch

    def put(self, age: float, state: str, *, run: str = "", key: dict[str, str], **values: float) -> None:
        page = run_page(state, beat=age, **values)
        label = f'",run="{run}"}} ' if run else '"} '
        moment = time.time() - age
        self._monkeypatch.setattr("gangplank.testing.gateway.store.time", SimpleNamespace(time=lambda: moment))
        put_at(self.address, path_of(Group(tuple(key.items()))), page.replace('"} ', label))


@pytest.fixture
def past(monkeypatch: pytest.MonkeyPatch) -> Iterator[Past]:
    monkeypatch.setenv("COLUMNS", "200")
    with Gateway() as gateway:
        yield Past(gateway.address, monkeypatch)


def test_show(past: Past, capsys: pytest.CaptureFixture[str]) -> None:
    digits = {"job": "digits", "phase": "train"}
    epochs = {"run_epoch": 8, "run_epochs_planned": 8}
    past.put(3 * MINUTE + 5, "finished", run="20261123T121018.573-ce0b", key=digits, **epochs)
    past.put(3 * MINUTE + 5, "finished", run="20261123T121018.601-1ae4", key={**digits, "phase": "test"})
    resnet = {"job": "resnet", "phase": "train", "team": "vision"}
    position = {"run_epoch": 12, "run_epochs_planned": 90, "run_step": 1200, "run_steps_planned": 9000}
    past.put(12 * MINUTE + 5, "running", run="20261123T104502.118-90aa", key=resnet, **position)
    put(past.address, "m 1\n", job="cron")
    assert gangplank("show", past.address) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert printed == [line.rstrip() for line in example(f"gangplank show {ADDRESS}")]


def test_delete(past: Past, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    past.put(12 * MINUTE + 5, "running", key={"job": "resnet", "phase": "train", "team": "vision"})
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert gangplank("delete", past.address, "--job", "resnet") == 0
    out, asked = capsys.readouterr()
    listed, deleted = out.splitlines()
    assert [listed, f"{asked}y", deleted] == example(f"gangplank delete {ADDRESS} --job resnet")


def test_prune(past: Past, capsys: pytest.CaptureFixture[str]) -> None:
    past.put(12.5 * DAY, "finished", key={"job": "digits", "phase": "train", "run": "lr-0.1"})
    past.put(9.5 * DAY, "running", key={"job": "digits", "phase": "train", "run": "lr-0.3"})
    past.put(5 * DAY, "finished", key={"job": "digits", "phase": "train", "run": "lr-1"})
    assert gangplank("prune", past.address, "--older-than", "7d", "--dry-run") == 0
    assert capsys.readouterr().out.splitlines() == example(f"gangplank prune {ADDRESS} --older-than 7d --dry-run")
