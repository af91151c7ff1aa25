"""`gangplank rules`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from gangplank.cli import main
from gangplank.monitoring import THRESHOLDS, rules
from support.servers import Generation, find

DOCS = Path(__file__).parents[2] / "docs" / "alerts.md"
ALERTS = re.findall(r"- alert: (\w+)", rules())


@pytest.mark.parametrize("generation", ["old", "new"])
def test_what_it_writes_is_a_rule_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], generation: Generation
) -> None:
    promtool = find("promtool", generation=generation)
    file = tmp_path / "rules.yml"
    assert main(["rules", "--out", str(file)]) == 0
    assert capsys.readouterr().out == ""
    done = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(re.findall('- (?:alert|record): ', file.read_text()))} rules found" in done.stdout


def test_without_a_file_it_prints_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules"]) == 0
    assert capsys.readouterr().out == rules()


def test_the_operators_format_holds_the_same_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "--format", "operator"]) == 0
    head, _, groups = capsys.readouterr().out.partition("spec:\n")
    assert "kind: PrometheusRule\n" in head
    assert re.sub("^  ", "", groups, flags=re.MULTILINE) == rules()


def test_thresholds_are_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["rules", "--dead-after", "1h30m", "--gateway-job", "push", "--runbooks", "https://wiki.example/a"]) == 0
    )
    written = capsys.readouterr().out
    assert "- gangplank_run_heartbeat_timestamp_seconds > 5400" in written
    assert 'up{job="push"} == 0' in written
    assert 'runbook_url: "https://wiki.example/a#gangplankrundead"' in written


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("--dead-after", "3 minutes", "dead_after '3 minutes' is not a duration: give one such as 90s, 10m or 1h30m"),
        ("--dead-after", "0s", "is not a duration"),
        ("--dead-after", "", "is not a duration"),
        ("--slow-below", "half", "slow_below 'half' is not a positive number"),
        ("--slow-below", "0", "is not a positive number"),
        ("--gateway-job", 'x"} or up{job="', "is not a job name"),
        ("--runbooks", "wiki", "is not a URL"),
    ],
)
def test_a_threshold_that_cannot_be_one_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], option: str, value: str, why: str
) -> None:
    assert main(["rules", option, value]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert why in said.err


def test_a_file_that_cannot_be_written_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "--out", str(tmp_path / "nowhere" / "rules.yml")]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_the_help_shows_each_threshold_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["rules", "--help"])
    shown = "".join(capsys.readouterr().out.split())
    for threshold in THRESHOLDS:
        assert f"--{threshold.name.replace('_', '-')}VALUE" in shown
        assert f"(default:{threshold.default})" in shown


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_its_runbook(alert: str) -> None:
    text = DOCS.read_text("utf-8")
    assert f"\n### {alert}\n" in text
    assert f"| [{alert}](#{alert.lower()}) |" in text


def test_each_series_that_is_recorded_is_explained() -> None:
    recorded = set(re.findall(r"- record: ((?!gangplank:(?:seen|week)_)\S+)", rules()))
    inside = {"attempt_start", "training_finished", "training_fresh"}
    assert set(
        re.findall(r"`(gangplank[\w:]+)`", DOCS.read_text("utf-8").partition("## What is recorded")[2])
    ) == recorded - {f"gangplank:{name}_timestamp_seconds" for name in inside}


@pytest.mark.parametrize("name", ["progress_ratio", "remaining_seconds"])
def test_the_page_on_progress_has_the_queries_that_are_recorded(name: str) -> None:
    _, _, rest = rules().partition(f"- record: gangplank:run_{name}\n")
    expression = "".join(rest.partition("expr: ")[2].partition("\n\n")[0].split()).lstrip(">|-")
    assert expression in "".join(DOCS.with_name("progress.md").read_text("utf-8").split())
