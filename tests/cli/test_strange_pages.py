"""Pages that no Pushgateway shows, and samples that gangplank never pushed: a line, not a traceback."""

from __future__ import annotations

import argparse
import contextlib
import email.utils
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gangplank import GangplankError
from gangplank.cli import main
from gangplank.cli.deletion import delete_selected
from gangplank.cli.doctor import gateway as doctor_gateway
from gangplank.cli.installed import adapters
from gangplank.cli.remote.groups import GatewayGroup, format_age, format_duration, matching
from gangplank.cli.remote.reader import GroupsReader
from gangplank.cli.show import run as show
from gangplank.core.types import Group
from support.verbs import BUILD_INFO, served

TIMES = 'push_time_seconds{job="a",phase="train"} 5\npush_failure_time_seconds{job="a",phase="train"} 0\n'
LABELS = 'job="a",phase="train"'
VERBS = [
    ["show", "{}"],
    ["show", "{}", "--json"],
    ["show", "{}", "--job", "*"],
    ["delete", "{}", "--job", "*", "--yes"],
    ["delete", "{}", "--job", "*", "--yes", "--json"],
    ["prune", "{}", "--older-than", "1s", "--yes", "--json"],
    ["watch", "{}", "--once"],
    ["doctor", "{}"],
    ["doctor", "{}", "--json"],
]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "_problem", lambda adapter: "")
    monkeypatch.setattr("gangplank.cli.remote.gateway._DELETION_TIMEOUT", 0.0)


def histogram(*buckets: str) -> str:
    lines = "".join(f"gangplank_train_model_weights_bucket{{{LABELS}{bucket}\n" for bucket in buckets)
    return f"{TIMES}# TYPE gangplank_train_model_weights histogram\n{lines}"


UNUSABLE = {
    "no job": "push_time_seconds 5\n",
    "an empty job": 'push_time_seconds{job=""} 5\n',
    "another label than job": 'push_time_seconds{phase="train"} 5\n',
    "a time that is NaN": 'push_time_seconds{job="a"} NaN\n',
    "a time that is infinite": 'push_time_seconds{job="a"} -Inf\n',
    "a time that is too large": 'push_time_seconds{job="a"} 1e999\n',
    "a failure at no time": TIMES.replace("} 0", "} NaN"),
    "no value": "push_time_seconds{\n",
    "no number": 'push_time_seconds{job="a"} five\n',
    "an open label": 'push_time_seconds{job="a} 5\n',
    "a strange escape": 'push_time_seconds{job="\\',
    "HTML": "gangplank_<html>\n",
    "braces": "gangplank_x{}{}{}\n",
}
UNUSUAL = {
    "no le": histogram("} 1"),
    "le without a number": histogram(',le="x"} 1'),
    "a count that is NaN": histogram(',le="1"} NaN'),
    "a count that is infinite": histogram(',le="1"} +Inf', ',le="+Inf"} 1'),
}
USABLE = {
    "a state that is NaN": f'{TIMES}gangplank_run_state{{{LABELS},state="running"}} NaN\n',
    "no state": f"{TIMES}gangplank_run_state{{{LABELS}}} 1\n",
    "a heartbeat that is NaN": f"{TIMES}gangplank_run_heartbeat_timestamp_seconds{{{LABELS}}} NaN\n",
    "a heartbeat at the end of time": f"{TIMES}gangplank_run_heartbeat_timestamp_seconds{{{LABELS}}} 1e300\n",
    "an epoch that is infinite": f"{TIMES}gangplank_run_epoch{{{LABELS}}} +Inf\n",
    "a huge time": 'push_time_seconds{job="a"} 1e300\n',
    "a time before all": 'push_time_seconds{job="a"} -1e300\n',
    "counts that fall": histogram(',le="1"} 9', ',le="2"} 1e300', ',le="+Inf"} -1e300'),
    "le that is NaN": histogram(',le="NaN"} 1', ',le="1"} 1'),
    "line breaks of Unicode": f'{TIMES}push_time_seconds{{job="b\u2028\x85\x0c\x0b\x1c"}} 5\n',
    "a long label": f'{TIMES}push_time_seconds{{job="{"b" * 100_000}"}} 5\n',
    "markup": f'{TIMES}gangplank_run_state{{{LABELS},state="[/red]\x1b[2J\\n"}} 1\n',
    "a sample of no group": 'gangplank_run_epoch{job="other"} 1\n',
    "many commas": f'{TIMES}gangplank_x{{{LABELS},a="{"," * 100_000}"}} 1\n',
}


def served_page(text: str) -> Any:
    """Serve a page, by a server that answers a deletion as a gateway does."""
    date = {"Date": email.utils.formatdate(usegmt=True)}
    return served(lambda method, path: (200, date, BUILD_INFO + text) if method == "GET" else (202, {}, ""))


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
@pytest.mark.parametrize("text", UNUSABLE.values(), ids=UNUSABLE)
def test_a_page_that_is_none_is_one_line_and_a_failure(
    verb: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with served_page(text) as (address, asked):
        assert main([argument.format(address) for argument in verb]) == 1
    printed = capsys.readouterr()
    assert not any(request.startswith("DELETE") and "gangplank-doctor" not in request for request in asked)
    if verb[0] == "doctor":
        assert "the gateway's page " in printed.out
    else:
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        assert printed.err.startswith("gangplank: the gateway's page ")


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
@pytest.mark.parametrize("text", [*UNUSUAL.values(), *USABLE.values()], ids=[*UNUSUAL, *USABLE])
def test_strange_samples_are_no_traceback(verb: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with served_page(text) as (address, _):
        code = main([argument.format(address) for argument in verb])
    printed = capsys.readouterr()
    assert all(character.isprintable() or character == "\n" for character in printed.out + printed.err)
    if verb[0] == "show":
        assert code == int("--json" not in verb and text in UNUSUAL.values())
        assert ("gangplank_train_model_weights is not shown" in printed.err) == bool(code)
    if "--json" in verb:
        json.loads(printed.out, parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("seconds", "text"), [(float("nan"), "?"), (-1e999, "?"), (1e300, "?"), (1e11, "?"), (1e10, "115740 days")]
)
def test_a_duration_that_is_none_is_a_question_mark(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
    assert format_age(seconds, 0).startswith(text)


# Random pages


NAMES = ["gangplank_run_state", "gangplank_run_epoch", "gangplank_train_loss", "gangplank_train_model_weights_bucket"]
NAMES += ["gangplank_run_heartbeat_timestamp_seconds", "push_time_seconds", "push_failure_time_seconds", "a", "{", "é"]
KEYS = st.sampled_from(["job", "phase", "run", "state", "le", "instance", "a", "__a", "a b", "é", ""])
VALUES = st.sampled_from(["a", "train", "running", "0.5", "+Inf", "NaN", "", "/", "..", "\\n", "\u2028", '\\"', "é"])
NUMBERS = st.sampled_from(
    ["1", "0", "-1", "NaN", "+Inf", "-Inf", "1e300", "1e999", "0x1", "1_0", "x", "", "1 1", "1 x"]
)
PAIRS = st.builds('{}="{}"'.format, KEYS, st.one_of(VALUES, st.text(max_size=3)))
LINES = st.one_of(
    st.builds("{}{{{}}} {}".format, st.sampled_from(NAMES), st.lists(PAIRS, max_size=4).map(",".join), NUMBERS),
    st.builds("# {} {} {}".format, st.sampled_from(["TYPE", "HELP"]), st.sampled_from(NAMES), VALUES),
    st.text(max_size=10),
)
PAGES = st.builds("\n".join, st.lists(LINES, max_size=8)).map(lambda text: f"{text}\n")


class Answered:
    """A client whose gateway shows one page."""

    def __init__(self, text: str) -> None:
        self.text, self.now, self.server_time = text, 1e9, 1e9

    def groups(self) -> tuple[list[GatewayGroup], Answered]:
        return GroupsReader().read(self.text), self

    def delete_groups(self, groups: object) -> dict[Group, str]:
        return {}

    def __str__(self) -> str:
        return "gateway:9091"


@given(PAGES)
@example(UNUSABLE["no job"])
@example(UNUSUAL["no le"])
@settings(max_examples=500)
def test_a_random_page_is_shown_or_refused(text: str) -> None:
    client: Any = Answered(text)
    with contextlib.suppress(GangplankError):
        show(argparse.Namespace(gateway=client, job=None, phase=None, json=True))
    with contextlib.suppress(GangplankError):
        show(argparse.Namespace(gateway=client, job="*", phase=None, json=False))
    with contextlib.suppress(GangplankError):
        delete_selected(client, lambda: (list(matching(client.groups()[0], "*")), 1e9), yes=True, as_json=True)
    assert {check.state for check in doctor_gateway._page(text, 1e9, str)} <= {"ok", "warning", "problem"}  # noqa: SLF001
