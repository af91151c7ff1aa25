"""Frames for a terminal: at 80 columns, of one run, of a thousand, and of text that would change a terminal."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from gangplank.cli.watch import page
from gangplank.cli.watch.charts import bar, columns, sparkline
from gangplank.cli.watch.terminal import frame
from gangplank.cli.watch.watcher import View, Watcher
from gangplank.testing.gateway import Gateway
from support.servers import Server
from support.watched import looked, push, watching, weights
from support.watched import page as run_page

HOSTILE = [
    "<script>alert(1)</script>",
    "[red]markup[/red]",
    "\x1b[2J\x1b]0;owned\x07",
    "a\u202eb\u2028c\r\nd",
    "x" * 5000,
]
UPDATE = "run_last_update_timestamp_seconds"


def lines(watcher: Watcher, view: View, width: int = 80, height: int | None = None) -> list[str]:
    """Return the lines of a frame."""
    console = Console(width=width, file=io.StringIO(), record=True, color_system=None)
    console.print(frame(watcher, view, width, height))
    printed = console.export_text().splitlines()
    assert all(len(line) <= width for line in printed)
    assert all(line.isprintable() for line in printed)
    return [line.rstrip() for line in printed]


def test_a_frame_at_80_columns_says_first_who_needs_you(gateway: Server) -> None:
    push(gateway.address, run_page(run="20261123T104502.118-90aa"), "digits")
    push(gateway.address, run_page("running", {UPDATE: 1530}, run=""), "resnet", team="vision")
    push(gateway.address, run_page("finished", run_step=120_000, run_steps_planned=1_000_000), "done", "test")
    watcher, view = looked(gateway.address)
    verdict, more, subtitle, heading, rule, *rest = lines(watcher, view)
    assert verdict == "1 of 3 runs needs you: resnet train (team='vision') is stuck: alive, and no"
    assert more == "progress for 25 min"
    assert subtitle.startswith(f"{gateway.address}, read at ")
    assert subtitle.endswith(", 2 running, 1 finished")
    assert heading.split() == ["run", "state", "left", "newest", "metrics"]
    assert set(rule) == {"─"}
    assert [line.split() for line in rest] == [
        ["!", "resnet", "train", "stuck", "25", "min", "loss", "0.5", "▅"],
        ["team='vision'", "██████▌", "60%", "600/1000", "accuracy", "0.75", "▅"],
        ["digits", "train", "running", "32", "min", "loss", "0.5", "▅"],
        ["20261123T104502.118-90aa", "██████▌", "60%", "600/1000", "accuracy", "0.75", "▅"],
        ["done", "test", "finished"],
        ["r1", "█▎", "12%", "120k/1M"],
    ]


def test_the_only_run_is_shown_whole(gateway: Server) -> None:
    metrics = {"train_val_loss": float("nan"), 'train_learning_rate{optimizer="adam"}': 0.001, "train_z": float("-inf")}
    push(gateway.address, run_page("running", metrics) + weights(10, 40, 20, 0), "digits")
    push(gateway.address, run_page(), "other")
    watcher = watching(gateway.address, "dig*")
    text = "\n".join(lines(watcher, watcher.read()))
    assert text.startswith("The run is well.\n")
    for line in (
        "digits train  r1",
        "600/1,000 steps  32 min left",
        "loss                              0.5  ▅",
        "val_loss                          NaN  !",
        'learning_rate{optimizer="adam"} 0.001 ▅',
        "z                                -Inf  !",
        "  <= 0 40 ████████████████████████████████████████████",
        "<= 0.1 20 ██████████████████████",
        "<= +Inf 0",
    ):
        assert " ".join(line.split()) in " ".join(text.split()), line


def test_a_low_terminal_shows_the_most_urgent_runs(gateway: Server) -> None:
    for number in range(30):
        push(gateway.address, run_page("running", {UPDATE: 1530} if number == 29 else {}), f"job-{number:02}")
    watcher, view = looked(gateway.address)
    shown = lines(watcher, view, height=24)
    assert len(shown) <= 23
    assert [line[2:8] for line in shown if line[2:6] == "job-"][:2] == ["job-29", "job-00"]
    assert shown[-1] == "21 more; choose with --job and --phase."
    assert len(lines(watcher, view, height=5)) >= 4


def test_a_wide_terminal_shows_more_metrics(gateway: Server) -> None:
    for job in "ab":
        push(gateway.address, run_page("running", {f"train_metric_{number}": number for number in range(9)}), job)
    watcher, view = looked(gateway.address)
    [line] = [line for line in lines(watcher, view, width=200) if line.lstrip().startswith("a train")]
    assert line.split()[5::3] == ["loss", "accuracy", "metric_0", "metric_1", "metric_2"]


@pytest.mark.parametrize("height", [12, 24, 40])
def test_of_the_only_run_there_is_as_much_as_fits(height: int, gateway: Server) -> None:
    metrics = {f"train_{number:02}_{'n' * 70}": 1.0 for number in range(30)}
    push(gateway.address, run_page("running", metrics) + weights(10, 40, 20, 0), "digits")
    watcher, view = looked(gateway.address)
    shown = lines(watcher, view, height=height)
    text = "\n".join(shown)
    assert height - 1 <= len(shown) <= max(height, 13)
    first, last = shown.index("") + 4, shown.index("weights") - 2
    assert shown[last] == f"{32 - (last - first)} more metrics; a taller terminal shows them."
    assert ("<= +Inf" in text) == (height > 12)
    assert ("more buckets; a taller" in text) == (height == 12)


def test_long_names_leave_room_for_the_runs(gateway: Server) -> None:
    for number in range(4):
        push(gateway.address, run_page("running", {UPDATE: 1530}), f"{number}" + "name-" * 100)
    watcher, view = looked(gateway.address)
    shown = lines(watcher, view, height=24)
    assert len(shown) <= 24
    assert sum(line.startswith("! ") for line in shown) == 4


def test_patterns_that_match_nothing_are_said(gateway: Server) -> None:
    push(gateway.address, run_page(), "digits")
    watcher = watching(gateway.address, "digit")
    assert lines(watcher, watcher.read())[0] == "No run matches --job and --phase; of others, there are 1."


@pytest.mark.parametrize("one", [True, False])
def test_text_of_strangers_does_nothing(one: bool) -> None:
    with Gateway() as gateway:
        for index, hostile in enumerate(HOSTILE if not one else ["".join(HOSTILE)]):
            body = run_page("running", {f"train_{index}_{'n' * 3000}": 1.0}, run="")
            push(gateway.address, body.replace('"running"', f'"{_escaped(hostile)}"'), hostile, team=hostile)
        watcher, view = looked(gateway.address)
        shown = "\n".join(lines(watcher, view))
        assert "<script>" in shown
        html = page.overview(watcher, view, "", paused=False)
        html += page.run(watcher, view, view.runs[0].labels, paused=False)[1]
    assert "<script" not in html
    assert "<b" not in html.replace("<body", "").replace("<button", "")
    assert all(character.isprintable() for character in html.replace("\n", ""))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def test_a_gateway_without_runs_says_so(gateway: Server) -> None:
    watcher, view = looked(gateway.address)
    assert lines(watcher, view)[0] == "There are no runs."


def test_a_gateway_that_is_down_says_so_and_goes_on(gateway: Server) -> None:
    watcher = watching(gateway.address)
    assert lines(watcher, watcher.view) == [f"Reading {gateway.address} ...", gateway.address]
    push(gateway.address, run_page(), "digits")
    before = watcher.read()
    gateway.stop()
    view = watcher.read()
    assert view.runs == before.runs
    shown = " ".join(lines(watcher, view))
    assert shown.startswith("Cannot read ")
    assert " 0 s ago: The run is well. " in shown
    assert f"Cannot read {gateway.address}: cannot reach {gateway.address}: " in shown
    assert "This is what it showed 0 s ago. " in shown
    assert "digits train" in shown
    first = watching(gateway.address)
    assert lines(first, first.read())[0].startswith(f"Cannot read {gateway.address}: cannot reach ")


def test_a_thousand_runs_take_less_than_a_second(tmp_path: Path) -> None:
    with Gateway() as gateway:
        for number in range(1000):
            push(gateway.address, run_page() + weights(*range(1, 5)), f"job-{number}")
        watcher = watching(gateway.address)
        body = watcher._source._client.page()  # type: ignore[attr-defined] # noqa: SLF001
    watcher._source._client.page = lambda: body  # type: ignore[attr-defined] # noqa: SLF001
    began = time.thread_time()
    view = watcher.read()
    shown = lines(watcher, view)
    html = page.overview(watcher, view, "", paused=False)
    took = time.thread_time() - began  # of this thread: the machine may be busy
    assert len(view.runs) == 1000
    assert shown[-1] == "960 more; choose with --job and --phase."
    assert "800 more: choose jobs above." in html
    assert took < 1, took


def test_curves_are_drawn_by_time() -> None:
    points = [(0.0, 0.0), (1.0, 7.0), (2.0, 0.0), (100.0, 7.0)]
    assert columns(points, 2) == [0.0, 7.0]
    assert columns(points, 4) == [0.0, 7.0, 0.0, 7.0]
    assert sparkline([(0, 1), (1, float("nan")), (2, 2), (3, float("inf"))], 9) == "▁!█!"
    assert sparkline([(0, -1e308), (1, 1e308)], 9) == "▁█"
    assert sparkline([], 9) == ""
    assert [bar(fraction, 2).rstrip() for fraction in (0, 1e-9, 0.5, 0.999, 1)] == ["", "▏", "█", "█▉", "██"]
