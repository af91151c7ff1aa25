"""An environment that says nothing, a gateway of either kind, and the verb."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest

from gangplank.cli import main
from gangplank.cli.doctor import environment
from gangplank.cli.installed import adapters
from support.examined import Found, states
from support.verbs import either


@pytest.fixture(autouse=True)
def _at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with an environment that says nothing; frameworks, which take seconds to import, are taken to work."""
    for name in environment.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(adapters, "_problem", lambda adapter: "")


@pytest.fixture(params=["embedded", "real"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty gateway of either kind."""
    with either(request) as address:
        yield address


@pytest.fixture
def examined(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Found]]:
    """Runs the verb; returns its exit code, and what it found by the check's name."""

    def run(*arguments: str) -> tuple[int, Found]:
        code = main(["doctor", *arguments, "--json"])
        found: Found = defaultdict(list)
        for check in json.loads(capsys.readouterr().out):
            assert list(check) == ["check", "state", "found", "fix"]
            found[check["check"]].append(check)
        assert code == int(any(check["state"] == "problem" for every in found.values() for check in every))
        assert set(states(found).values()) <= {"ok", "warning", "problem"}
        return code, found

    return run
