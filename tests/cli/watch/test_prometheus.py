"""A Prometheus that has the last hours: the curves begin with them, and it knows that a run has stood still."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import pytest

from gangplank.cli.remote.prometheus import Prometheus as Client
from gangplank.cli.watch.sources import PrometheusSource
from gangplank.cli.watch.watcher import Watcher
from gangplank.core.errors import GangplankError
from support.servers import Server, find, prometheus
from support.verbs import served
from support.watched import page, push, text, weights

MINUTE, HOUR = 60, 3600


def fill(folder: Path, now: float) -> None:
    """Write the last three hours of three runs into the store of a Prometheus.

    One goes on, one logs without a step, one evaluates, and one hangs; these two for twenty minutes.
    """
    lines: dict[str, list[str]] = {}
    for minutes in range(180, -1, -1):
        moment = now - MINUTE * minutes
        values = {
            "run_heartbeat_timestamp_seconds": moment,
            "run_start_timestamp_seconds": now - 3 * HOUR,
            "run_epoch_duration_seconds": 60.0,
            "train_loss": 1.0 + minutes,
        }
        until = 1000.0 - max(minutes, 20)
        steps = {"goes": 1000.0 - minutes, "stands": 5.0, "evaluates": until, "hangs": until}
        for job, step in steps.items():
            progress = moment if job in ("goes", "stands") else min(moment, now - 20 * MINUTE)
            activity = 'run_activity_seconds_total{activity="validate"}'
            spent = moment - now + 3 * HOUR if job == "evaluates" else 0.0
            more = {"run_step": step, "run_epoch": step, "run_last_update_timestamp_seconds": progress, activity: spent}
            for line in text({**values, **more}).splitlines():
                if line.startswith("#"):
                    lines.setdefault(line.split()[2], [line])
                else:
                    series, _, value = line.rpartition(" ")
                    name, _, labels = series.partition("{")
                    sample = f'{name}{{job="{job}",phase="train",{labels} {value} {moment:.0f}'
                    lines[name].append(sample)
    (folder / "past.om").write_text("\n".join(line for family in lines.values() for line in family) + "\n# EOF\n")
    promtool = find("promtool")
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "past.om", "tsdb"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_curves_begin_with_the_last_hours(tmp_path: Path) -> None:
    now = float(int(time.time()))  # in whole seconds, as the file has them
    fill(tmp_path, now)
    with prometheus(tmp_path, "127.0.0.1:1") as server:
        server.await_query("gangplank_run_state")
        watcher = Watcher(PrometheusSource(Client(server.url), 2), 5)
        view = watcher.read()
        assert not view.error
        runs = {run.job: run for run in view.runs}
        assert {job: [need.alert for need in run.needs] for job, run in runs.items()} == {
            "goes": [],
            "stands": ["RunStuck"],
            "evaluates": [],
            "hangs": ["RunStuck"],
        }
        assert "no progress for 1 h" in runs["stands"].needs[0].text
        points = watcher.history.points(runs["goes"].key, "loss")
        assert points[-1][1] == 1
        assert points[0][1] == pytest.approx(121, abs=3)
        assert points[0][0] == pytest.approx(now - 2 * HOUR, abs=3 * MINUTE)
        assert 100 < len(points) <= 240
        assert [value for _, value in points] == sorted((value for _, value in points), reverse=True)


def test_what_has_been_scraped_for_a_moment_has_not_stood_still_for_an_hour(gateway: Server, tmp_path: Path) -> None:
    push(gateway.address, page(run_start_timestamp_seconds=2 * HOUR), "digits")
    with prometheus(tmp_path, gateway.address) as server:
        server.await_query("gangplank_run_state")
        [run] = Watcher(PrometheusSource(Client(server.url), 1), 5).read().runs
    assert run.needs == ()


def test_a_trainer_whose_clock_is_ahead_is_not_alive_for_longer(gateway: Server, tmp_path: Path) -> None:
    push(gateway.address, page(run_heartbeat_timestamp_seconds=-HOUR), "digits", team="x")
    with prometheus(tmp_path, gateway.address) as server:
        server.await_query("gangplank_run_state")
        [run] = Watcher(PrometheusSource(Client(server.url), 1), 5).read().runs
    assert run.heartbeat is not None
    assert 0 <= run.heartbeat < MINUTE


def test_what_seldom_changes_is_asked_for_when_a_run_appears_and_after_a_while(
    gateway: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    push(gateway.address, page(run_epochs_planned=10, run_steps_planned=None, now=now), "a")
    with prometheus(tmp_path, gateway.address, each="1s") as server:
        server.await_query("gangplank_run_state")
        source = PrometheusSource(Client(server.url), 1)

        def positions() -> dict[str, str]:
            view = Watcher(source, 5).read()
            assert not view.error
            return {run.job: run.position for run in view.runs}

        assert positions() == {"a": "6/10 epochs"}
        push(gateway.address, page(run_epoch=7, run_epochs_planned=20, run_steps_planned=None, now=now), "a")
        server.await_query('gangplank_run_epochs_planned{job="a"} == 20')
        assert positions() == {"a": "7/10 epochs"}
        with monkeypatch.context() as patch:
            patch.setattr(sys.modules[PrometheusSource.__module__], "_KEPT_FOR", 0.0)
            assert positions() == {"a": "7/20 epochs"}
        push(gateway.address, page(run_epochs_planned=30, run_steps_planned=None), "b")
        server.await_query('gangplank_run_state{job="b"}')
        assert positions() == {"a": "7/20 epochs", "b": "6/30 epochs"}


def test_the_next_run_with_the_same_labels_has_its_own_plans(gateway: Server, tmp_path: Path) -> None:
    def show(epoch: int, planned: int, ago: int) -> tuple[str, list[float]]:
        values = {"run_epochs_planned": planned, "run_steps_planned": None, "train_loss": epoch}
        push(gateway.address, page(run="", run_epoch=epoch, run_start_timestamp_seconds=ago, **values), "a")
        server.await_query(f"gangplank_run_epochs_planned == {planned}")
        [run] = watcher.read().runs
        return run.position, [value for _, value in watcher.history.points(run.key, "loss")]

    with prometheus(tmp_path, gateway.address) as server:
        watcher = Watcher(PrometheusSource(Client(server.url), 1), 5)
        assert show(9, 10, 500)[0] == "9/10 epochs"
        assert show(1, 20, 10) == ("1/20 epochs", [1])


def test_what_seldom_changes_is_asked_for_again_if_not_all_of_it_was_answered() -> None:
    jobs, refused = ["a", "b"], False

    def answer(_: str, path: str) -> tuple[int, dict[str, str], str]:
        query = urllib.parse.unquote_plus(path)
        if refused and "changes(" in query:
            return 503, {}, "busy"
        names = [name for name in ("state", "epoch", "epochs_planned") if f"{name}|" in query or f"({name}" in query]
        metric = {"phase": "train", "state": "running"}
        found = [metric | {"__name__": f"gangplank_run_{name}", "job": job} for name in names for job in jobs]
        found = [{}] if "vector(" in query else found
        return 200, {}, json.dumps({"data": {"result": [{"metric": one, "value": [1e9, "3"]} for one in found]}})

    with served(answer) as (address, _):
        watcher = Watcher(PrometheusSource(Client(address), 1), 5)

        def positions() -> dict[str, str]:
            return {run.job: run.position for run in watcher.read().runs}

        assert positions() == {"a": "3/3 epochs", "b": "3/3 epochs"}
        jobs, refused = ["a"], True
        assert "503" in watcher.read().error
        jobs, refused = ["a", "b"], False
        assert positions() == {"a": "3/3 epochs", "b": "3/3 epochs"}


def test_a_metric_may_end_as_one_of_ours_does(gateway: Server, tmp_path: Path) -> None:
    push(gateway.address, page(train_my_elapsed_time_seconds=3, train_elapsed_time_seconds=4), "a")
    with prometheus(tmp_path, gateway.address) as server:
        server.await_query("gangplank_run_state")
        source = PrometheusSource(Client(server.url), 1)
        [run] = Watcher(source, 5).read().runs
        assert set(run.metrics) == {"loss", "accuracy", "my_elapsed_time_seconds"}
        assert {one.metric for one in source.past(time.time(), 100, ["r1"])} == set(run.metrics)


def test_the_weights_of_a_run_are_read_too(gateway: Server, tmp_path: Path) -> None:
    name = 'a"\\\n{}'
    values = {"train_loss": 0.5, "run_epoch": 1.0}
    push(gateway.address, text(values) + weights(1, 2, 3, 4), name)
    push(gateway.address, text(values) + weights(9, 9, 9, 9), name, team="x")
    with prometheus(tmp_path, gateway.address) as server:
        server.await_query("gangplank_train_model_weights_bucket")
        watcher = Watcher(PrometheusSource(Client(server.url), 1), 5)
        plain, other = sorted(watcher.read().runs, key=lambda run: len(run.labels))
        assert plain.labels == {"job": name, "phase": "train", "run": "r1"}
        assert [count for _, count in watcher.weights(plain)] == [1, 2, 3, 4]
        assert [count for _, count in watcher.weights(other)] == [9, 9, 9, 9]
        assert [float(edge) for edge, _ in watcher.weights(plain)] == [-0.1, 0, 0.1, float("inf")]


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"result": None},
        {"result": [1]},
        {"result": [{"metric": {}, "value": []}]},
        {"result": [{"metric": [], "value": [1, "1"]}]},
        {"result": [{"metric": {"job": "a"}, "value": [1, "x"]}]},
        {"result": [{"metric": {"job": "a"}, "value": ["x", "1"]}]},
    ],
)
def test_what_is_no_prometheus_is_an_error_of_the_view(data: object) -> None:
    with served(lambda *_: (200, {}, json.dumps({"data": data}))) as (address, _):
        with pytest.raises(GangplankError, match=f"the server on {address} is not a Prometheus"):
            Client(address).instant("up")
        view = Watcher(PrometheusSource(Client(address), 1), 5).read()
    assert "is not a Prometheus" in view.error


def test_text_that_no_encoding_has_does_no_harm() -> None:
    metric = {"__name__": "gangplank_run_state", "job": "\ud800", "phase": "train", "state": "running"}
    data = {"result": [{"metric": metric, "value": [1e9, "1"]}]}
    with served(lambda *_: (200, {}, json.dumps({"data": data}))) as (address, _):
        [sample] = Client(address).instant("up")
    assert dict(sample.labels.of_run)["job"] == "?"


@pytest.mark.parametrize("name", ["", r'a|b"\d{2}.*', "zwölf"])
def test_the_past_is_that_of_the_runs_that_are_asked_for(gateway: Server, tmp_path: Path, name: str) -> None:
    push(gateway.address, page(run="another"), "another")
    escaped = name.replace("\\", r"\\").replace('"', r"\"")
    push(gateway.address, page(run=escaped, train_epochs_count=3), "this")  # which the rules record, and is no metric
    with prometheus(tmp_path, gateway.address) as server:
        server.await_query("count(gangplank_train_loss) == 2")
        past = list(PrometheusSource(Client(server.url), 1).past(time.time(), 100, [name]))
    assert {dict(one.key)["job"] for one in past} == {"this"}
    assert {one.metric for one in past} == {"loss", "accuracy"}


def test_a_server_that_refuses_the_past_shows_the_present() -> None:
    now = time.time()

    def answer(_: str, path: str) -> tuple[int, dict[str, str], str]:
        if "query_range" in path:
            return 422, {}, '{"status": "error", "error": "query processing would load too many samples"}'
        metric = {"__name__": "gangplank_run_state", "job": "a", "phase": "train", "state": "running"}
        return 200, {}, json.dumps({"data": {"result": [{"metric": metric, "value": [now, str(int(now))]}]}})

    with served(answer) as (address, _):
        view = Watcher(PrometheusSource(Client(address), 1), 5).read()
    assert not view.error
    assert [run.job for run in view.runs] == ["a"]
