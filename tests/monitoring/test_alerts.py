"""Each alert, firing and not, with both generations of promtool; also with a label of the user, and beside a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.promtool import History, Values, healthy, said
from support.servers import Generation, find

LASTS = 300  # minutes


@dataclass
class Case:
    """A run that begins at 0.

    Args:
        changes: what it has apart from a healthy run.
        at: when to look, in minutes.
        fires: the alert that fires, and how its description begins.
        others: further series.
        alone: whether there is no other run of the job, which has a history.
    """

    changes: Values
    at: int
    fires: tuple[str, str] | None = None
    others: Mapping[str, str] = field(default_factory=dict)
    alone: bool = False


def then(minute: int, before: float, after: float) -> str:
    """Return a value that changes at a minute."""
    return f"{before}x{minute - 1} {after}x{LASTS - minute}"


def until(minute: int, *families: str) -> dict[str, str]:
    """Return the values of a healthy run that grow until a minute, and then stay."""
    grows = healthy(minute)
    return {name: f"{grows[name]} {_last(grows[name])}x{LASTS - minute}" for name in families}


def _last(values: str) -> int:
    first, _, rest = values.partition("+")
    each, _, times = rest.partition("x")
    return int(first) + int(each) * int(times)


UPDATE, HEARTBEAT = "gangplank_run_last_update_timestamp_seconds", "gangplank_run_heartbeat_timestamp_seconds"
STEP, EPOCH = "gangplank_run_step", "gangplank_run_epoch"
TIMED, SECONDS = "gangplank_run_step_duration_seconds_count", "gangplank_run_step_duration_seconds_sum"
SAVED, SAVED_STEP = "gangplank_run_checkpoint_timestamp_seconds", "gangplank_run_checkpoint_step"
DURATION, THROUGHPUT = "gangplank_run_epoch_duration_seconds", "gangplank_run_samples_per_second"
LOSS, VALIDATION, EVALUATION = "gangplank_train_loss", "gangplank_train_val_loss", "gangplank_train_eval_loss"
TRAIN, WAIT, VALIDATE, OTHER = (
    f'gangplank_run_activity_seconds_total{{activity="{name}"}}' for name in ("train", "data_wait", "validate", "other")
)
START = "gangplank_run_start_timestamp_seconds"
WEIGHTS = "gangplank_train_model_weights_nonfinite"
STATE = 'gangplank_run_state{{state="{}"}}'.format

STOPS = until(60, UPDATE, STEP, EPOCH, TIMED, SECONDS)
NO_EPOCHS: Values = dict.fromkeys([EPOCH, "gangplank_run_epochs_planned", DURATION, THROUGHPUT])
NO_STEPS: Values = dict.fromkeys([TIMED, SECONDS])
VALIDATES = until(60, TRAIN, WAIT) | {VALIDATE: f"0+3x60 240+60x{LASTS}"}
IN_CALLBACKS = until(60, TRAIN, WAIT) | {OTHER: f"0x60 60+60x{LASTS}"}
# What begins at minute 60 has the labels of the run before: `run=None`, or a name that is used again.
AGAIN = {START: then(60, 0, 3600)}
AT_THE_START: Values = {**NO_EPOCHS, **NO_STEPS, UPDATE: f"0x{LASTS}", STEP: f"0x{LASTS}"}
NO_EPOCH_YET: Values = {DURATION: None, EPOCH: f"_x90 0x{LASTS}", STEP: f"_x90 0x{LASTS}"}
SLOW_STEPS = STOPS | {SECONDS: f"0+36000x60 2160000x{LASTS}"}  # a minute each
ENDS = until(60, UPDATE, HEARTBEAT, STEP, EPOCH, TIMED, SECONDS, TRAIN, SAVED, SAVED_STEP) | {
    STATE("running"): then(60, 1, 0)
}
GROUP = '{job="digits",phase="train"}'
GPUS = 'DCGM_FI_DEV_GPU_UTIL{{Hostname="node-1",gpu="{}"}}'.format

GPU_OF = 'DCGM_FI_DEV_GPU_UTIL{{Hostname="node-1",gpu="0",host="{}"}}'.format
DEAD = "RunDead", "The run a says that it is running"

WAITED, FORWARD = "gangplank_run_data_wait_seconds_total", "gangplank_run_forward_seconds_total"


def ranks(family: str, *seconds: int) -> dict[str, str]:
    """Return the series of ranks that spend so many seconds of each minute on something."""
    series = {}
    for rank, each in enumerate(seconds):
        labels = f'{{job="digits",phase="train",rank="{rank}",run="{"a" if each == max(seconds) else rank}"'
        series[f"{family}{labels}}}"] = f"0+{each}x{LASTS}"
        series[f'gangplank_run_state{labels},state="running"}}'] = f"1x{LASTS}"
    return series


CASES = {
    "healthy": Case({}, LASTS),
    # RunDead
    "dies": Case(
        STOPS | until(60, HEARTBEAT),
        64,
        ("RunDead", "The run a says that it is running, and its last heartbeat was 4m 0s ago."),
    ),
    "a heartbeat that is late": Case(STOPS | until(60, HEARTBEAT), 63),
    "a gateway that was down shows an old page": Case(
        {HEARTBEAT: f"0+60x60 {'stale ' * 9}3600 3600 4320+60x{LASTS}"}, 71
    ),
    "is dead, so not stuck": Case(STOPS | until(60, HEARTBEAT), 90, ("RunDead", "The run a says that it is running")),
    # RunStuck
    "hangs": Case(STOPS, 71, ("RunStuck", "The run a is alive, and has made no progress for 11m 0s: longer than")),
    "pauses": Case(STOPS, 70),
    "long epochs": Case(STOPS | {DURATION: f"1000x{LASTS}"}, 109),
    "longer than its long epochs": Case(STOPS | {DURATION: f"1000x{LASTS}"}, 111, ("RunStuck", "The run a is alive")),
    "longer than an hour in longer epochs": Case(
        STOPS | {DURATION: f"9000x{LASTS}"}, 121, ("RunStuck", "The run a is alive")
    ),
    "longer epochs of steps that are not timed": Case({**STOPS, **NO_STEPS, DURATION: f"9000x{LASTS}"}, LASTS),
    "long callbacks between short epochs": Case({**STOPS, **NO_STEPS, **IN_CALLBACKS}, 118),
    "was not seen before": Case(
        {
            **{name: f"_x90 {values}" for name, values in healthy(LASTS, 5400).items()},
            START: f"_x90 0x{LASTS}",
            **NO_EPOCH_YET,
        },
        92,
    ),
    "long steps": Case({**SLOW_STEPS, **NO_EPOCHS}, 79),
    "longer than its long steps": Case({**SLOW_STEPS, **NO_EPOCHS}, 81, ("RunStuck", "The run a is alive")),
    "a first epoch that is long": Case(AT_THE_START, 60),
    "a first epoch that never ends": Case(
        AT_THE_START, 62, ("RunStuck", "The run a is alive, and has made no progress for 1h 2m 0s")
    ),
    "a long evaluation before the first epoch has ended": Case({**STOPS, **NO_EPOCHS, **VALIDATES}, 119),
    "an evaluation that never ends": Case(
        {**STOPS, **NO_EPOCHS, **VALIDATES},
        122,
        ("RunStuck", "The run a is alive, and has made no progress for 1h 2m 0s"),
    ),
    "logs without a step": Case(
        {**until(60, STEP, EPOCH), **NO_STEPS}, 122, ("RunStuck", "The run a is alive, and has made no progress for 1h")
    ),
    "logs in a long epoch without a step": Case({**until(60, STEP, EPOCH), **NO_STEPS, DURATION: f"1300x{LASTS}"}, 122),
    # RunSlow
    "slow": Case(
        {THROUGHPUT: then(60, 320, 100)},
        80,
        ("RunSlow", "The run a trains at 38.03% of its mean throughput of the last day."),
    ),
    "slow in long epochs": Case(
        {**NO_STEPS, UPDATE: f"0+0x89 5400x{LASTS}", THROUGHPUT: then(90, 320, 100), DURATION: f"5400x{LASTS}"},
        110,
        ("RunSlow", "The run a trains at"),
    ),
    "a slower model": Case(AGAIN | {THROUGHPUT: then(60, 320, 100)}, 80),
    "slow for a moment": Case({THROUGHPUT: f"320x59 100x9 320x{LASTS}"}, 80),
    "slow steps": Case({**NO_EPOCHS, TIMED: f"0+600x60 36060+60x{LASTS}"}, 100, ("RunSlow", "The run a trains at")),
    "a long evaluation": Case(until(60, TIMED, SECONDS) | VALIDATES | {DURATION: f"3000x{LASTS}"}, 90),
    # What the numbers say
    "a metric is NaN": Case(
        {"gangplank_run_nonfinite_metrics": then(60, 0, 2), LOSS: "0.5x59 NaN NaN NaN NaN NaN"},
        66,
        ("MetricNotFinite", "2 metrics of the train run a are NaN or infinite, and it goes on."),
    ),
    "skipped steps of half precision": Case({"gangplank_run_nonfinite_metrics": f"0x59 1x3 0x9 1x3 0x{LASTS}"}, 62),
    "a weight is NaN": Case(
        {WEIGHTS: None, f'{WEIGHTS}{{tensor="0"}}': then(60, 0, 1200), f'{WEIGHTS}{{tensor="1"}}': f"0x{LASTS}"},
        61,
        ("WeightsNotFinite", "1.2k trainable weights of the run a are NaN or infinite: nothing that it trains"),
    ),
    "the loss diverges": Case(
        {LOSS: then(60, 0.5, 2)},
        82,
        (
            "LossDiverging",
            "For a quarter of an hour, each loss of the run a was at least 4.0 times the mean of its best",
        ),
    ),
    "the loss of another training": Case(AGAIN | {LOSS: then(60, 0.5, 2), VALIDATION: then(60, 0.6, 0.9)}, 100),
    "one good loss": Case({LOSS: f"0.5x59 0.01 0.5x{LASTS}"}, 82),
    "a bad loss": Case({LOSS: f"0.5x59 2x9 0.5x{LASTS}"}, 82),
    "the loss falls": Case({LOSS: f"9-0.02x{LASTS}"}, LASTS),
    "a loss below 0": Case({LOSS: then(60, -5, 2)}, 100),
    "overfits": Case(
        {VALIDATION: then(60, 0.6, 0.9)},
        91,
        ("ValidationLossRising", "For half an hour, the validation loss of the run a was above its best, now 1.50"),
    ),
    "overfits in Transformers": Case(
        {VALIDATION: None, EVALUATION: then(60, 0.6, 0.9)}, 91, ("ValidationLossRising", "For half an hour")
    ),
    "the validation loss is noisy": Case({VALIDATION: then(60, 0.6, 0.65)}, 120),
    # RunFailed
    "fails": Case(ENDS | {STATE("failed"): then(60, 0, 1)}, 70, ("RunFailed", "The run a has failed 10m 0s ago.")),
    "has failed long ago": Case(ENDS | {STATE("failed"): then(60, 0, 1)}, 121),
    "finishes": Case(ENDS | {STATE("finished"): then(60, 0, 1)}, 70),
    "is interrupted": Case(ENDS | {STATE("interrupted"): then(60, 0, 1)}, 70),
    # CheckpointTooOld
    "saves no more": Case(
        until(60, SAVED, SAVED_STEP),
        181,
        ("CheckpointTooOld", "If the run a ended now, 2h 1m 0s of its work would be lost."),
    ),
    "has not saved for a while": Case(until(60, SAVED, SAVED_STEP), 179),
    "saves an old step": Case(
        until(60, SAVED_STEP), 200, ("CheckpointTooOld", "If the run a ended now, 2h 6m 0s of its work would be lost.")
    ),
    "has nothing new to save": Case(
        until(60, SAVED, SAVED_STEP, STEP, TIMED, SECONDS, TRAIN) | {DURATION: f"9000x{LASTS}"}, 200
    ),
    "hangs some time after it has saved": Case(STOPS | until(58, SAVED_STEP), 71, ("RunStuck", "The run a is alive")),
    "is dead, and saves no more": Case(STOPS | until(60, HEARTBEAT, SAVED) | until(58, SAVED_STEP), 200, DEAD),
    "never saves": Case(dict.fromkeys([SAVED, SAVED_STEP]), LASTS),
    # GoodputLow
    "waits for its data": Case(
        {TRAIN: f"0+20x{LASTS}", WAIT: f"0+34x{LASTS}"},
        100,
        ("GoodputLow", "33.33% of the time since the first attempt went into training that was kept."),
        alone=True,
    ),
    "waits for its data at first": Case({TRAIN: f"0+20x{LASTS}", WAIT: f"0+34x{LASTS}"}, 59),
    # The gateway
    "two runs in one group": Case(
        {**dict.fromkeys(healthy(1)), STATE("running"): "1 stale " * LASTS},
        60,
        ("TwoRunsOneGroup", "2 runs push to one group of the Pushgateway at the same time"),
        {'gangplank_run_state{state="running",job="digits",phase="train",run="c"}': "stale 1 " * LASTS},
        alone=True,
    ),
    "short runs that follow each other": Case(
        {**dict.fromkeys(healthy(1)), STATE("running"): "1 stale"},
        40,
        None,
        {
            f'gangplank_run_state{{state="running",job="digits",phase="train",run="{begin}"}}': f"_x{begin} 1x2 stale"
            for begin in range(1, 60, 3)
        },
        alone=True,
    ),
    "a run after another": Case(
        {**dict.fromkeys(healthy(1)), STATE("running"): "1x59 stale"},
        62,
        None,
        {'gangplank_run_state{state="running",job="digits",phase="train",run="c"}': f"_x59 1x{LASTS}"},
        alone=True,
    ),
    "a push is rejected": Case(
        {},
        70,
        ("PushRejected", "The newest push of phase train was rejected."),
        {f"push_time_seconds{GROUP}": f"0+60x60 3600x{LASTS}", f"push_failure_time_seconds{GROUP}": then(61, 0, 3660)},
    ),
    "a push was rejected, and the next was not": Case(
        {},
        90,
        None,
        {f"push_time_seconds{GROUP}": f"0+60x{LASTS}", f"push_failure_time_seconds{GROUP}": then(61, 0, 3660)},
    ),
    "somebody else's push is rejected": Case(
        {},
        70,
        None,
        {
            'push_time_seconds{job="backup"}': f"3600x{LASTS}",
            'push_failure_time_seconds{job="backup"}': f"3660x{LASTS}",
        },
    ),
    "the gateway is down": Case(
        {},
        63,
        ("PushgatewayDown", "Prometheus cannot scrape it."),
        {'up{job="pushgateway",instance="gw:9091"}': then(60, 1, 0)},
    ),
    "the gateway is not known any more": Case(
        {},
        63,
        ("PushgatewayDown", "Prometheus cannot scrape it."),
        {'up{job="pushgateway",instance="gw:9091"}': "1x59 stale"},
    ),
    "the gateway has moved": Case(
        {},
        63,
        None,
        {
            'up{job="pushgateway",instance="gw:9091"}': "1x59 stale",
            'up{job="pushgateway",instance="gw:9092"}': f"_x60 1x{LASTS}",
        },
    ),
    "another server is down": Case({}, 63, None, {'up{job="db",instance="db:1"}': then(60, 1, 0)}),
    # Ranks and GPUs
    "a rank loads slowly": Case({}, 60, ("Straggler", "Rank 2 spends 50% more of its time"), ranks(WAITED, 3, 3, 33)),
    "a rank computes slowly": Case({}, 60, ("Straggler", "Rank 0 spends 33.33%"), ranks(FORWARD, 50, 30, 31)),
    "ranks that are alike": Case({}, 60, None, ranks(FORWARD, 30, 38, 31)),
    "ranks of a larger training that has ended": Case({}, 60, None, ranks(FORWARD, 30, 38, 0)),
    "drift": Case(
        {},
        65,
        ("DriftDetected", "Drift was detected"),
        {'gangplank_predict_drift_detected_total{job="serving"}': then(60, 0, 3)},
    ),
    "no drift": Case({}, 65, None, {'gangplank_predict_drift_detected_total{job="serving"}': f"3x{LASTS}"}),
    "the GPUs are idle": Case(
        {},
        70,
        ("GpuIdle", "The run a of ann is running on node-1, whose busiest GPU was in use 4 % of the time."),
        {GPUS(0): f"4x{LASTS}", GPUS(1): f"0x{LASTS}"},
    ),
    "the GPUs are idle, and the run is dead": Case(STOPS | until(60, HEARTBEAT), 200, DEAD, {GPUS(0): f"0x{LASTS}"}),
    "GPUs that are scraped twice": Case(
        {}, 70, ("GpuIdle", "The run a of ann is running on"), {GPU_OF("a"): f"4x{LASTS}", GPU_OF("b"): f"4x{LASTS}"}
    ),
    "one of two GPUs is idle": Case({}, 70, None, {GPUS(0): f"90x{LASTS}", GPUS(1): f"0x{LASTS}"}),
    "the GPUs are idle, and nothing runs": Case(
        ENDS | {STATE("finished"): then(60, 0, 1)}, 200, None, {GPUS(0): f"0x{LASTS}"}
    ),
}


@pytest.fixture(params=["old", "new"])
def promtool(request: pytest.FixtureRequest) -> str:
    generation: Generation = request.param
    return find("promtool", generation=generation)


# Of these the labels name no run.
OF_NO_RUN = {"TwoRunsOneGroup", "PushRejected", "PushgatewayDown", "DriftDetected", "GoodputLow", "SuccessTooOld"}
# Another run of the job at the same time.
BESIDE: Values = {
    'gangplank_run_info{host="node-1",owner="ann"}': None,
    'gangplank_run_info{host="node-2"}': f"1x{LASTS}",
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_alert_fires_if_it_should(promtool: str, tmp_path: Path, case: Case) -> None:
    name, text = case.fires or ("", "")
    expected = f'{{alertname="Gangplank{name}"}}' if name in OF_NO_RUN else f'{{alertname="Gangplank{name}",run="a"}}'
    tests = []
    run = {"job": "digits", "phase": "train", "run": "a"}
    for labels, beside in ((run, False), (run | {"team": "vision"}, not case.alone)):
        series = History(LASTS, case.changes, labels).series()
        series += History(LASTS, BESIDE, labels | {"run": "b"}).series() if beside else []
        team = 'job="digits",team="vision"' if "team" in labels else 'job="digits"'
        series += [{"series": one.replace('job="digits"', team), "values": each} for one, each in case.others.items()]
        fire = {
            "expr": 'count by (alertname, run) (ALERTS{alertstate="firing"})',
            "eval_time": f"{case.at}m",
            "exp_samples": [{"labels": expected, "value": 1}] if name else [],
        }
        # What fires shows with its texts if something else is expected.
        shown = {"eval_time": f"{case.at}m", "alertname": f"Gangplank{name}", "exp_alerts": []}
        tests.append(
            {
                "interval": "1m",
                "input_series": series,
                "promql_expr_test": [fire],
                "alert_rule_test": [shown] if name else [],
            }
        )
    answer = said(promtool, tmp_path, tests, history=case.alone)
    assert "expr:" not in answer, answer
    assert answer.count(f'description="{text}') == (2 if name else 0), answer
    assert "error" not in answer, answer


@pytest.mark.parametrize(
    ("days", "at", "fires"),
    [
        pytest.param(range(7), 9.5, True, id="daily, until three days ago"),
        pytest.param(range(7), 8.4, False, id="daily, until two days ago"),
        pytest.param((0, 0.1, 0.2), 9, False, id="three in a day"),
        pytest.param((0, 7), 13.9, False, id="two"),
        pytest.param(range(5), 6.9, False, id="on weekdays, before the second Monday"),
    ],
)
def test_a_job_that_succeeds_again_and_again_is_missed(
    promtool: str, tmp_path: Path, days: Sequence[float], at: float, fires: bool
) -> None:
    series = [
        {
            "series": f'gangplank_run_last_success_timestamp_seconds{{job="nightly",phase="train",run="{day}"}}',
            "values": f"_x{round(day * 144)} {round(day * 86400)}x3",
        }
        for day in days
    ]
    expected = {"labels": '{alertname="GangplankSuccessTooOld",job="nightly"}', "value": 1}
    look = {
        "expr": 'count by (alertname, job) (ALERTS{alertstate="firing"})',
        "eval_time": f"{round(at * 48) * 30}m",  # when the rules are evaluated
        "exp_samples": [expected] if fires else [],
    }
    test = {"interval": "10m", "input_series": series, "promql_expr_test": [look]}
    assert not said(promtool, tmp_path, [test], each="30m")
