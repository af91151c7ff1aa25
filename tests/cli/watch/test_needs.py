"""Which runs need somebody: what `watch` says of a gateway, and of a Prometheus, is what the alerts say."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gangplank.cli.remote.prometheus import Prometheus as Client
from gangplank.cli.watch.sources import PrometheusSource
from gangplank.cli.watch.watcher import View, Watcher
from gangplank.monitoring import rules
from support.promtool import said
from support.servers import Generation, Prometheus, Server, find, prometheus
from support.watched import looked, page, push, text, watching

NAN = float("nan")
BEAT, UPDATE, START = (f"run_{name}_timestamp_seconds" for name in ("heartbeat", "last_update", "start"))
NO_EPOCH = {"run_epoch_duration_seconds": None}
MINUTES = 120
ALERTS = ("RunDead", "RunStuck", "RunFailed", "MetricNotFinite", "WeightsNotFinite")

# The state and the changes of a run, and what fires.
CASES: dict[str, tuple[str, dict[str, float | None], set[str]]] = {
    "healthy": ("running", {}, set()),
    "late": ("running", {BEAT: 150}, set()),
    "dead": ("running", {BEAT: 200}, {"RunDead"}),
    "dead-not-stuck": ("running", {BEAT: 200, UPDATE: 2000}, {"RunDead"}),
    "stuck": ("running", {UPDATE: 640}, {"RunStuck"}),
    "pausing": ("running", {UPDATE: 550}, set()),
    "long-epochs": ("running", {UPDATE: 640, "run_epoch_duration_seconds": 300}, set()),
    "long-steps": (
        "running",
        {UPDATE: 640, "run_step_duration_seconds_sum": 400, "run_step_duration_seconds_count": 10, **NO_EPOCH},
        set(),
    ),
    "short-steps": (
        "running",
        {UPDATE: 640, "run_step_duration_seconds_sum": 10, "run_step_duration_seconds_count": 10, **NO_EPOCH},
        {"RunStuck"},
    ),
    "starting": ("running", {UPDATE: 640, **NO_EPOCH}, set()),
    "never-started": ("running", {UPDATE: 3700, START: 3700, "run_step": None, **NO_EPOCH}, {"RunStuck"}),
    "failed": ("failed", {BEAT: 600}, {"RunFailed"}),
    "failed-long-ago": ("failed", {BEAT: 3700}, set()),
    "interrupted": ("interrupted", {BEAT: 600, UPDATE: 900}, set()),
    "nan-metric": ("running", {"run_nonfinite_metrics": 2, "train_loss": NAN}, {"MetricNotFinite"}),
    "nan-weights": ("running", {"train_model_weights_nonfinite": 7}, {"WeightsNotFinite"}),
    "nan-and-dead": (
        "running",
        {"run_nonfinite_metrics": 1, "train_model_weights_nonfinite": 7, BEAT: 300},
        {"MetricNotFinite", "WeightsNotFinite", "RunDead"},
    ),
    "nan-at-the-end": ("finished", {"run_nonfinite_metrics": 1, "train_model_weights_nonfinite": 7}, set()),
}


def needs(view: View) -> dict[str, set[str]]:
    """Return the alerts of each job that has any."""
    return {run.job: {need.alert for need in run.needs} for run in view.runs if run.needs}


def series(job: str, phase: str, body: str) -> Iterator[dict[str, str]]:
    """Yield the samples of a page as promtool reads them: for two hours the same, but for a training that goes on."""
    trains = 'gangplank_run_activity_seconds_total{activity="train",run="r1"} 0'
    grows = {trains: 60}
    for line in (*body.splitlines(), trains):
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            family, _, labels = name.partition("{")
            each = grows.get(line, int(family in ("gangplank_run_step", "gangplank_run_epoch")))
            yield {
                "series": f'{family}{{job="{job}",phase="{phase}",{labels}',
                # promtool repeats numbers only
                "values": f"{value}+{each}x{MINUTES}" if value != "NaN" else " ".join([value] * (MINUTES + 1)),
            }


@pytest.mark.parametrize("generation", ["old", "new"])
def test_the_alerts_say_that_these_need_somebody(tmp_path: Path, generation: Generation) -> None:
    pages = [
        one
        for job, (state, changes, _) in CASES.items()
        for one in series(job, "train", page(state, changes, now=60 * MINUTES))
    ]
    look = {
        "expr": f'count by (alertname, job) (ALERTS{{alertstate="firing",alertname=~"Gangplank({"|".join(ALERTS)})"}})',
        "eval_time": f"{MINUTES}m",
        "exp_samples": [
            {"labels": f'{{alertname="Gangplank{alert}",job="{job}"}}', "value": 1}
            for job, (_, _, fires) in CASES.items()
            for alert in fires
        ],
    }
    test = {"interval": "1m", "input_series": pages, "promql_expr_test": [look]}
    answer = said(find("promtool", generation=generation), tmp_path, [test], history=False)
    assert not answer, answer


@contextmanager
def scraped(gateway: Server, folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus that has scraped a gateway with this many runs."""
    with prometheus(folder, gateway.address) as server:
        server.await_query("gangplank_run_state")
        yield server


def test_a_gateway_and_a_prometheus_say_the_same(gateway: Server, tmp_path: Path) -> None:
    for job, (state, changes, _) in CASES.items():
        push(gateway.address, page(state, changes), job)
    push(gateway.address, page("running", {UPDATE: 2000}), "evaluates", "test")  # no training, so never stuck
    tensors = {f'train_model_weights_nonfinite{{tensor="{name}"}}': count for name, count in (("a", 0), ("b", 3))}
    push(gateway.address, page("running", {"train_model_weights_nonfinite": None, **tensors}), "tensors")
    expected = {job: fires for job, (_, _, fires) in CASES.items() if fires} | {"tensors": {"WeightsNotFinite"}}
    with scraped(gateway, tmp_path) as server:
        view = Watcher(PrometheusSource(Client(server.url), 1), 5).read()
        assert not view.error
        assert needs(view) == expected
    watched = looked(gateway.address)[1]
    assert needs(watched) == expected
    assert len(watched.runs) == len(view.runs) == len(CASES) + 2
    assert [bool(run.needs) for run in watched.runs] == sorted((bool(run.needs) for run in watched.runs), reverse=True)


def test_how_far_a_run_is_is_what_prometheus_records(gateway: Server, tmp_path: Path) -> None:
    push(gateway.address, page(), "by-steps")
    push(gateway.address, page(run_step=None, run_steps_planned=None), "by-epochs")
    push(gateway.address, page(run_resumed_from_step=599), "resumed")
    push(gateway.address, page(run_step=1200), "beyond")
    push(gateway.address, page("finished"), "finished")
    push(gateway.address, page(run_steps_planned=None, run_epochs_planned=None), "unplanned")
    names = {"run_progress_ratio": "progress", "run_remaining_seconds": "remaining"}
    with scraped(gateway, tmp_path) as server:
        recorded = {
            name: {
                labels["job"]: value
                for labels, value in server.query(
                    rules().partition(f"record: gangplank:{name}\n")[2].partition("expr: ")[2].partition("\n\n")[0][2:]
                )
            }
            for name in names
        }
        views = [looked(gateway.address)[1], Watcher(PrometheusSource(Client(server.url), 1), 5).read()]
    assert len(recorded["run_progress_ratio"]) == 5
    assert len(recorded["run_remaining_seconds"]) == 4
    for view in views:
        for name, ours in names.items():
            values = {run.job: getattr(run, ours) for run in view.runs if getattr(run, ours) is not None}
            rates = {job: min(value, 1.0) if ours == "progress" else value for job, value in recorded[name].items()}
            assert values == pytest.approx(rates, abs=5), name  # the servers are asked one after the other


def test_a_run_that_logs_without_a_step_is_stuck_after_an_hour_of_watching(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = watching("127.0.0.1:1")
    begin = 1e9

    def seen(minute: int, **changes: float | None) -> View:
        now = begin + 60 * minute
        body = page("running", {START: 60 * minute + 60, **changes}, now=now).replace(
            'run="r1"', 'job="a",phase="train"'
        )
        times = 'push_time_seconds{job="a",phase="train"} '
        body = f"pushgateway_build_info 1\n{body}{times}{now}\n{times.replace('time', 'failure_time')}0\n"
        monkeypatch.setattr(watcher._source._client, "page", lambda: Answer(body, now))  # type: ignore[attr-defined] # noqa: SLF001
        view = watcher.read()
        assert not view.error
        return view

    assert not needs(seen(0))
    assert not needs(seen(30, run_step=700))
    assert not needs(seen(89, run_step=700))
    assert needs(seen(91, run_step=700)) == {"a": {"RunStuck"}}
    assert not needs(seen(91, run_step=700, run_epoch_duration_seconds=1300))
    assert not needs(seen(92, run_step=701))
    assert not needs(seen(93, run_step=701))


class Answer:
    """A page at a time."""

    def __init__(self, body: str, now: float) -> None:
        self.text, self.now = body, now


@pytest.mark.parametrize("activity", ["validate", "checkpoint", "other"])
def test_a_long_evaluation_is_not_stuck_until_it_takes_an_hour(activity: str, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = watching("127.0.0.1:1")
    begin = 1e9
    times = 'push_time_seconds{job="a",phase="train"} '

    def seen(second: float, spent: float, idle: float) -> View:
        now = begin + second
        counter = f'run_activity_seconds_total{{activity="{activity}"}}'
        body = page("running", {UPDATE: idle, counter: spent}, now=now).replace('run="r1"', 'job="a",phase="train"')
        body = f"pushgateway_build_info 1\n{body}{times}{now}\n{times.replace('time', 'failure_time')}0\n"
        monkeypatch.setattr(watcher._source._client, "page", lambda: Answer(body, now))  # type: ignore[attr-defined] # noqa: SLF001
        view = watcher.read()
        assert not view.error
        return view

    stuck = {"a": {"RunStuck"}}
    assert needs(seen(0, 1000, 700)) == stuck  # nobody knows better yet
    assert needs(seen(20, 1001, 720)) == stuck
    assert needs(seen(60, 1060, 760)) == {}
    assert needs(seen(120, 1120, 3700)) == stuck
    assert needs(seen(600, 1121, 1240)) == stuck


def test_a_trainer_whose_clock_is_ahead_does_not_live_for_ever() -> None:
    """`show` says the same: no heartbeat is newer than the newest push."""
    from gangplank.cli.remote.groups import Series  # noqa: PLC0415
    from gangplank.cli.remote.runs import Observation, status_of  # noqa: PLC0415

    now = time.time()
    series = [
        Series("gauge", "gangplank_run_state", {"state": "running"}, 1),
        Series("gauge", "gangplank_run_heartbeat_timestamp_seconds", {}, now + 4000),
    ]
    status = status_of(Observation({"job": "a", "phase": "train"}, series, pushed_at=now - 300), now)
    assert [need.alert for need in status.needs] == ["RunDead"]
    assert status.needs[0].text == "is probably dead: no heartbeat for 5 min"


def test_text_of_samples_is_what_a_gateway_takes(gateway: Server) -> None:
    push(gateway.address, text({"run_epoch": float("inf")}, run=""), "a")
    [run] = looked(gateway.address)[1].runs
    assert run.labels == {"job": "a", "phase": "train"}
    assert (run.position, run.progress) == ("", None)
