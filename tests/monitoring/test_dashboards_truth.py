"""What queries of the dashboards answer to series of runs that never were, with both generations of promtool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from gangplank.monitoring import dashboards
from support.grafana import interpolated, panels
from support.promtool import said
from support.servers import find

DASHBOARDS = dashboards()
FLEET, RUN = DASHBOARDS["gangplank-fleet.json"], DASHBOARDS["gangplank-run.json"]
EVERY = {"job": [".*"], "phase": [".*"]}
Samples = Mapping[str, float]


@pytest.fixture(params=["old", "new"])
def promtool(request: pytest.FixtureRequest) -> str:
    return find("promtool", generation=request.param)


def query(dashboard: Mapping[str, object], title: str, number: int = 0, **values: Sequence[str]) -> str:
    """Return a query of a panel; all jobs and phases are chosen if no others are."""
    (panel,) = (one for one in panels(dashboard) if one["title"] == title and "targets" in one)
    return interpolated(panel["targets"][number]["expr"], {**EVERY, **values})


def answers(promtool: str, folder: Path, series: Mapping[str, str], expected: Mapping[str, Samples]) -> None:
    """Fail unless these queries, after ten minutes, have these answers: values by labels."""
    looks = [
        {
            "expr": f"round({expr}, 0.001)",
            "eval_time": "10m",
            "exp_samples": [{"labels": labels, "value": value} for labels, value in samples.items()],
        }
        for expr, samples in expected.items()
    ]
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    test = {"interval": "1m", "input_series": inputs, "promql_expr_test": looks}
    answer = said(promtool, folder, [test], history=False)
    assert not answer, answer


def test_alerts_of_a_run_are_its_own_and_those_of_its_job_and_phase(promtool: str, tmp_path: Path) -> None:
    alert = 'ALERTS{alertname="Gangplank%s",alertstate="firing",job="digits",phase="%s"%s}'
    series = {
        f'gangplank_run_state{{job="digits",phase="{phase}",run="{run}",instance="{instance}",state="running"}}': "1x10"
        for phase, run, instance in (
            ("train", "a", "gateway"),
            ("train", "a", "scraped"),
            ("train", "b", "gateway"),
            ("test", "c", "gateway"),
        )
    }
    series[alert % ("RunStuck", "train", ',run="a"')] = "1x10"
    series[alert % ("GoodputLow", "train", "")] = "1x10"
    labels = '{job="digits", phase="train", run="%s"}'
    answers(
        promtool,
        tmp_path,
        series,
        {
            query(FLEET, "Runs that need you"): {"{}": 2},
            query(FLEET, "Runs that say they are running"): {"{}": 3},
            query(FLEET, "All runs", 2): {labels % "a": 2, labels % "b": 1},
            query(FLEET, "Runs by state"): {'{state="running"}': 3},
        },
    )


def test_ranks_are_those_of_the_job_that_is_selected_and_one_that_is_gone_is_not_the_fastest(
    promtool: str, tmp_path: Path
) -> None:
    waits = {("digits", "0", "a"): "0+6x10", ("digits", "1", "b"): "0+18x10", ("digits", "2", "old"): "90x10"}
    series = {
        f'gangplank_run_data_wait_seconds_total{{job="{job}",phase="train",rank="{rank}",run="{run}"}}': values
        for (job, rank, run), values in {**waits, ("other", "0", "z"): "0+30x10"}.items()
    }
    for job, run in (("digits", "a"), ("digits", "b"), ("other", "z")):
        series[f'gangplank_run_state{{job="{job}",phase="train",run="{run}",state="running"}}'] = "1x10"
    first, second, gone = (f'{{job="digits", phase="train", rank="{rank}", run="{run}"}}' for _, rank, run in waits)
    answers(
        promtool,
        tmp_path,
        series,
        {
            query(RUN, "Behind the fastest rank", run=["a"]): {first: 0, second: 0.2},
            query(RUN, "Waiting for data, by rank", run=["a"]): {first: 0.1, second: 0.3, gone: 0},
        },
    )


def test_what_has_no_run_is_that_of_the_jobs_of_the_selected_runs(promtool: str, tmp_path: Path) -> None:
    alert = 'ALERTS{alertname="Gangplank%s", alertstate="firing", job="%s", phase="train"%s}'
    lost = 'gangplank:training_steps_lost{job="%s", phase="train"}'
    shown = [alert % ("RunStuck", "digits", ', run="a"'), alert % ("GoodputLow", "digits", ""), lost % "digits"]
    others = [alert % ("RunStuck", "digits", ', run="b"'), alert % ("GoodputLow", "other", ""), lost % "other"]
    series = dict.fromkeys([*shown, *others], "1x10")
    for job, run in (("digits", "a"), ("digits", "b"), ("other", "z")):
        series[f'gangplank_run_state{{job="{job}",phase="train",run="{run}",state="running"}}'] = "1x10"
    (annotation,) = RUN["annotations"]["list"]
    answers(
        promtool,
        tmp_path,
        series,
        {
            interpolated(annotation["expr"], {**EVERY, "run": ["a"]}): {
                one.removeprefix("ALERTS"): 1 for one in shown[:2]
            },
            query(RUN, "Steps lost", run=["a"]): {'{job="digits", phase="train"}': 1},
        },
    )


def test_weights_of_a_run_of_two_phases_are_counted_once(promtool: str, tmp_path: Path) -> None:
    name = 'gangplank_%s_model_weights_bucket{job="digits",phase="%s",run="a",tensor="%s",le="0.5"}'
    series = {name % (phase, phase, one): "4x10" for phase in ("train", "test") for one in ("kernel", "bias")}
    answers(promtool, tmp_path, series, {query(RUN, "Weights of $run", run=["a"]): {'{le="0.5"}': 8}})
