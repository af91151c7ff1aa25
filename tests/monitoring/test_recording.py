"""What Prometheus records: how far a run is, how fast, and what restarts have cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from support.promtool import History, said
from support.servers import find

RUN = {"job": "digits", "phase": "train", "team": "vision"}


@pytest.fixture(params=["old", "new"])
def promtool(request: pytest.FixtureRequest) -> str:
    return find("promtool", generation=request.param)


def recorded(
    promtool: str, folder: Path, histories: list[History], at: int, expected: Mapping[str, float | None]
) -> None:
    """Fail unless these values are recorded at a minute; None is no value at all."""
    looks = [
        {
            "expr": f"sum(round({name}, 0.0001))",
            "eval_time": f"{at}m",
            "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
        }
        for name, value in expected.items()
    ]
    series = [one for history in histories for one in history.series()]
    answer = said(promtool, folder, [{"interval": "1m", "input_series": series, "promql_expr_test": looks}])
    assert not answer, answer


def test_how_far_and_how_fast(promtool: str, tmp_path: Path) -> None:
    recorded(
        promtool,
        tmp_path,
        [History(120, {}, RUN | {"run": "a"})],
        100,
        {
            "gangplank:run_progress_ratio": 0.1,
            "gangplank:run_remaining_seconds": 54_000.9,  # 540,000 steps at the pace of 60,000 in 6,000 s
            "gangplank:run_steps_per_second": 11.1111,
            "gangplank_train_epochs_count": 100,
            "gangplank_train_model_parameters_count": 57,
        },
    )


def test_what_a_restart_has_cost(promtool: str, tmp_path: Path) -> None:
    restarted = {
        "gangplank_run_step": "24000+600x60",
        "gangplank_run_resumed_from_step": "24000x60",
    }
    recorded(
        promtool,
        tmp_path,
        [History(60, {}, RUN | {"run": "a"}), History(60, restarted, RUN | {"run": "b"}, begins=90)],
        150,
        {
            "gangplank:training_start_timestamp_seconds": 0,
            "gangplank:training_steps": 72_000,
            "gangplank:training_steps_lost": 12_000,
            # Of 9,000 s, 6,000 went into steps, and five sixths of them were kept.
            "gangplank:training_goodput_ratio": 0.5556,
        },
    )


def test_a_training_begins_after_one_that_has_finished(promtool: str, tmp_path: Path) -> None:
    finished = {
        'gangplank_run_state{state="running"}': "1x49 0x10",
        'gangplank_run_state{state="finished"}': "0x49 1x10",
    }
    recorded(
        promtool,
        tmp_path,
        [History(60, finished, RUN | {"run": "a"}), History(60, {}, RUN | {"run": "b"}, begins=90)],
        150,
        {
            "gangplank:training_start_timestamp_seconds": 5_400,
            "gangplank:training_steps": 36_000,
            "gangplank:training_steps_lost": 0,
            "gangplank:training_goodput_ratio": 0.8333,
        },
    )


def test_a_training_begins_with_a_run_that_resumes_none(promtool: str, tmp_path: Path) -> None:
    resumed = {"gangplank_run_step": "24000+600x60", "gangplank_run_resumed_from_step": "24000x60"}
    recorded(
        promtool,
        tmp_path,
        [
            History(60, {}, RUN | {"run": "a"}),
            History(60, {}, RUN | {"run": "b"}, begins=90),
            History(60, resumed, RUN | {"run": "c"}, begins=160),
        ],
        220,
        {
            "gangplank:training_start_timestamp_seconds": 5_400,
            "gangplank:training_steps": 72_000,
            "gangplank:training_steps_lost": 12_000,
        },
    )


def test_runs_of_one_name_are_not_told_apart(promtool: str, tmp_path: Path) -> None:
    again = {"gangplank_run_start_timestamp_seconds": "0x59 3600x61"}
    recorded(
        promtool,
        tmp_path,
        [History(120, again, RUN)],
        100,
        {"gangplank:training_start_timestamp_seconds": None, "gangplank:training_goodput_ratio": None},
    )


def test_where_steps_are_unknown_all_of_the_training_is_kept(promtool: str, tmp_path: Path) -> None:
    unknown = dict.fromkeys(["gangplank_run_step", "gangplank_run_resumed_from_step", "gangplank_run_steps_planned"])
    recorded(
        promtool,
        tmp_path,
        [History(120, unknown, RUN | {"run": "a"})],
        100,
        {
            "gangplank:run_progress_ratio": 0.1,
            "gangplank:run_remaining_seconds": 54_000,
            "gangplank:training_steps_lost": None,
            "gangplank:training_goodput_ratio": 0.8333,
        },
    )


def test_runs_at_the_same_time_are_no_attempts_of_one_training(promtool: str, tmp_path: Path) -> None:
    recorded(
        promtool,
        tmp_path,
        [History(120, {}, RUN | {"run": run}) for run in "ab"],
        100,
        {"gangplank:training_goodput_ratio": None, "gangplank:training_steps_lost": None},
    )
