"""The neutral run against a real Pushgateway."""

from __future__ import annotations

import gc
import logging
import random
import re
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gangplank import ConfigurationError, DeliveryError, ExportError, MetricError, Page, Run, Snapshot
from gangplank.core.naming import PHASES
from gangplank.testing.gateway import Gateway
from reading import eventually, samples, value
from servers import Server, find, free_port, pushgateway
from shelf import Shelf

WEIGHTS = [np.array([[-0.5, 0.0], [0.1, np.nan]], np.float32), np.array([np.inf, 0.25])]
EDGES = (-0.3, 0.0, 0.3)


def trained(gateway: Server, **options: Any) -> Run:
    """Return a run that has finished after two epochs."""
    run = Run(gateway.address, "digits", **{"histogram_buckets": EDGES, **options})
    run.start(epochs=2)
    for epoch in range(2):
        run.begin_epoch()
        run.record(
            {"loss": 0.5 - epoch / 8, "accuracy": np.float32(0.1)},
            epoch=epoch,
            step=(epoch + 1) * 10,
            samples=320,
            learning_rates={"": 0.01},
            parameters=(6, 2),
            weights=WEIGHTS,
        )
    run.finish()
    return run


def test_a_finished_run_shows_everything_that_was_recorded(gateway: Server) -> None:
    before = time.time()
    trained(gateway)
    expected = {
        "gangplank_train_loss": 0.375,
        "gangplank_train_accuracy": float(np.float32(0.1)),
        "gangplank_train_learning_rate": 0.01,
        "gangplank_train_model_weights_nonfinite": 2,
        "gangplank_train_model_weights_sum": -0.5 + float(np.float32(0.1)) + 0.25,
        "gangplank_train_model_weights_count": 4,
        "gangplank_run_epoch": 2,
        "gangplank_run_epochs_planned": 2,
        "gangplank_run_step": 20,
        "gangplank_run_nonfinite_metrics": 0,
    }
    assert {name: value(gateway, name, phase="train", job="digits") for name in expected} == expected
    text = gateway.metrics()
    assert {s.labels["trainable"]: s.value for s in samples(text, "gangplank_train_model_parameters")} == {
        "true": 6,
        "false": 2,
    }
    assert {float(s.labels["le"]): s.value for s in samples(text, "gangplank_train_model_weights_bucket")} == {
        -0.3: 1,
        0.0: 2,
        0.3: 4,
        float("inf"): 4,
    }
    assert {s.labels["state"]: s.value for s in samples(text, "gangplank_run_state")} == {
        "running": 0,
        "finished": 1,
        "failed": 0,
        "interrupted": 0,
    }
    assert {s.labels["metric"]: s.value for s in samples(text, "gangplank_run_metric_epoch")} == {
        "loss": 2,
        "accuracy": 2,
    }
    for counter in ("gangplank_run_export_failures_total", "gangplank_run_dropped_metrics_total"):
        assert {s.value for s in samples(text, counter)} == {0}
    times = [
        value(gateway, f"gangplank_run_{name}_timestamp_seconds") or 0
        for name in ("start", "last_update", "heartbeat", "last_success")
    ]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= time.time()
    elapsed = value(gateway, "gangplank_train_elapsed_time_seconds") or 0
    duration = value(gateway, "gangplank_run_epoch_duration_seconds") or 0
    assert 0 < duration < elapsed <= times[-1] - before
    assert value(gateway, "gangplank_run_samples_per_second") == pytest.approx(320 / duration)


def test_promtool_accepts_all_of_it(gateway: Server) -> None:
    with trained(gateway).phase("test") as run:
        run.record({"loss": 1.5}, parameters=(6, 2), weights=WEIGHTS)
    linted = subprocess.run(
        [find("promtool"), "check", "metrics"], input=gateway.metrics(), text=True, capture_output=True, check=False
    )
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")


def test_a_run_shows_as_running_from_its_start_with_what_is_planned(gateway: Server) -> None:
    run = Run(gateway.address, "digits")
    run.start(epochs=20, epoch=3)
    eventually(lambda: value(gateway, "gangplank_run_state", state="running") == 1)
    assert value(gateway, "gangplank_run_epochs_planned") == 20
    assert value(gateway, "gangplank_run_epoch") == 3
    assert value(gateway, "gangplank_run_last_success_timestamp_seconds") is None
    run.finish()


def test_an_epoch_shows_without_anyone_waiting_for_the_end(gateway: Server) -> None:
    run = Run(gateway.address, "digits")
    run.record({"loss": 0.75}, epoch=0)
    eventually(lambda: value(gateway, "gangplank_train_loss") == 0.75)
    assert value(gateway, "gangplank_run_state", state="running") == 1
    run.finish()


def test_epochs_count_time_and_know_what_is_planned(gateway: Server) -> None:
    with Run(gateway.address, "digits", histogram_buckets=EDGES) as run:
        for epoch in run.epochs(5, first=3):
            run.record({"loss": epoch}, weights={"kernel": np.ones(3)})
        with run.phase("test") as test:
            test.record({"accuracy": 0.5})
    assert value(gateway, "gangplank_run_epochs_planned") == 5
    assert value(gateway, "gangplank_run_epoch") == 5
    assert value(gateway, "gangplank_train_loss") == 4
    assert value(gateway, "gangplank_run_metric_epoch", metric="loss") == 5
    assert value(gateway, "gangplank_run_epoch_duration_seconds") is not None
    assert value(gateway, "gangplank_test_accuracy") == 0.5
    assert value(gateway, "gangplank_run_state", phase="train", state="finished") == 1


def test_no_epochs_left_are_no_run(gateway: Server) -> None:
    trained(gateway)
    with Run(gateway.address, "digits") as run:
        assert list(run.epochs(3, first=3)) == []
    assert value(gateway, "gangplank_train_loss") == 0.375


def test_a_metric_keeps_its_newest_value_and_says_which_epoch_it_is_from(gateway: Server) -> None:
    with Run(gateway.address, "digits") as run:
        run.record({"loss": 3, "val_loss": 4}, epoch=0)
        run.record({"loss": 2}, epoch=1)
    assert value(gateway, "gangplank_train_val_loss") == 4
    assert value(gateway, "gangplank_run_metric_epoch", metric="val_loss") == 1
    assert value(gateway, "gangplank_run_metric_epoch", metric="loss") == 2


def test_a_new_run_starts_empty_under_a_name_of_its_own(gateway: Server) -> None:
    first = trained(gateway)
    name = next(samples(gateway.metrics(), "gangplank_train_loss")).labels["run"]
    with first.phase("train") as second:
        second.record({"error": 1}, epoch=0)
    text = gateway.metrics()
    assert not list(samples(text, "gangplank_train_loss"))
    assert not list(samples(text, "gangplank_train_model_weights_count"))
    newer = next(samples(text, "gangplank_train_error")).labels["run"]
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{3}-[0-9a-f]{4}", newer)
    assert newer > name


def test_no_phase_erases_another(gateway: Server) -> None:
    run = trained(gateway)
    for phase in ("validate", "test", "predict"):
        with run.phase(phase) as other:
            other.record({"loss": 9})
    assert {phase: value(gateway, f"gangplank_{phase}_loss", phase=phase) for phase in PHASES} == {
        "train": 0.375,
        "validate": 9,
        "test": 9,
        "predict": 9,
    }


def test_a_run_with_nothing_to_do_erases_nothing(gateway: Server) -> None:
    with trained(gateway).phase("train"):
        pass
    assert value(gateway, "gangplank_train_loss") == 0.375


@pytest.mark.parametrize(
    ("error", "state"),
    [
        *((None, "finished"), (ValueError("a"), "failed"), (MemoryError(), "failed")),
        *((KeyboardInterrupt(), "interrupted"), (SystemExit(0), "interrupted")),
    ],
)
def test_a_run_ends_as_it_ended(gateway: Server, error: BaseException | None, state: str) -> None:
    caught: BaseException | None = None
    try:
        with Run(gateway.address, "digits") as run:
            run.record({"loss": 0.5}, epoch=0)
            if error:
                raise error  # noqa: TRY301  as the user's code does
    except BaseException as raised:  # noqa: BLE001
        caught = raised
    assert caught is error
    assert value(gateway, "gangplank_run_state", state=state) == 1
    assert value(gateway, "gangplank_train_loss") == 0.5
    assert (value(gateway, "gangplank_run_last_success_timestamp_seconds") is not None) == (state == "finished")


def test_what_comes_after_the_end_changes_nothing(gateway: Server, caplog: pytest.LogCaptureFixture) -> None:
    run = trained(gateway)
    run.record({"loss": 100}, epoch=5)
    run.finish(ValueError("late"))
    run.start()
    assert value(gateway, "gangplank_train_loss") == 0.375
    assert value(gateway, "gangplank_run_state", state="finished") == 1
    assert "has ended" in caplog.text


def test_run_names(gateway: Server) -> None:
    for name in ("mine", None):
        with Run(gateway.address, "digits", run=name) as run:
            run.record({"loss": 1}, epoch=0)
        labels = next(samples(gateway.metrics(), "gangplank_train_loss")).labels
        assert labels.get("run") == name


def test_ipv6() -> None:
    with Gateway("[::1]:0") as embedded, Run(embedded.address, "digits", ignore_exceptions=False) as run:
        run.record({"loss": 1}, epoch=0)
        assert embedded.address.startswith("[::1]:")
        assert "gangplank_train_loss{" in embedded.metrics()


def test_concurrent_runs_of_a_job_have_a_group_each(gateway: Server) -> None:
    runs = [Run(gateway.address, "digits", concurrent=True) for _ in range(2)]
    for loss, run in enumerate(runs):
        run.record({"loss": loss}, epoch=0)
    for run in runs:
        run.finish()
    found = {sample.labels["run"]: sample.value for sample in samples(gateway.metrics(), "gangplank_train_loss")}
    assert sorted(found.values()) == [0, 1]
    assert len(list(samples(gateway.metrics(), "push_time_seconds"))) == 2


def test_users_keys_and_info_are_shown_and_the_known_is_known(gateway: Server) -> None:
    with Run(
        gateway.address,
        "digits",
        grouping_key={"team": "vision", "shard": 3},
        info={"owner": "me", "dataset": 'a"\n\\'},
    ) as run:
        run.record({"loss": 1}, epoch=0)
    labels = next(samples(gateway.metrics(), "gangplank_run_info", team="vision", shard="3")).labels
    assert labels["owner"] == "me"
    assert labels["dataset"] == 'a"\n\\'
    assert {"host", "gangplank_version", "python_version"} <= labels.keys()
    assert value(gateway, "gangplank_train_loss", team="vision", shard="3") == 1


class Recorder:
    """A handler in prometheus_client's contract that records what it is asked to send."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[dict[str, Any]] = []
        self.error = error

    def __call__(self, url: str, method: str, timeout: float | None, headers: list[Any], data: bytes) -> Any:
        def send() -> None:
            self.calls.append({"url": url, "method": method, "timeout": timeout, "headers": headers, "data": data})
            if self.error:
                raise self.error

        return send


def test_a_handler_gets_what_prometheus_client_gives_it() -> None:
    handler = Recorder()
    run = Run(
        "https://gateway/prefix/",
        "a/b c",
        handler=handler,
        grouping_key={"zone": "ü?#%", "a": ".."},
        run="r1",
        concurrent=True,
        timeout=3,
    )
    run.record({"loss": 0.5}, epoch=0)
    run.finish()
    call = handler.calls[-1]
    # job and phase first, then the user's in the user's order: proxies match on the path.
    assert call["url"] == (
        "https://gateway/prefix/metrics/job@base64/YS9iIGM=/phase/train/zone/%C3%BC%3F%23%25/a@base64/Li4=/run/r1"
    )
    assert call["method"] == "PUT"
    assert call["timeout"] == 3
    assert dict(call["headers"])["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b'gangplank_train_loss{run="r1"} 0.5\n' in call["data"]


@pytest.fixture(scope="module")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pushgateway(tmp_path_factory.mktemp("shared")) as server:
        yield server


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.sampled_from(["job", "key"]))
@example("a/b", "job")
@example(".", "job")
@example("..", "key")
@example("/", "key")
@example(" a ", "job")
@example("@base64", "job")
@example("\x00\n\r\t", "key")
@example("100% + ?x=1#y&z", "job")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_round_trips_as_a_job_and_as_a_key(shared_gateway: Server, text: str, where: str) -> None:
    job, key = (text, "k") if where == "job" else ("j", text)
    with Run(shared_gateway.address, job, grouping_key={"key": key}, ignore_exceptions=False) as run:
        run.record({"loss": 1}, epoch=0)
    assert f"job={_quoted(job)}" in shared_gateway.metrics()
    assert f"key={_quoted(key)}" in shared_gateway.metrics()


def _quoted(text: str) -> str:
    escaped = text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'"{escaped}"'


def test_only_the_wanted_metrics_are_exported_and_a_missing_one_is_reported_once(
    gateway: Server, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run(gateway.address, "digits", metrics=["loss", "val_accuracy", "f1"])
    for _ in range(2):
        run = run.phase("train")
        run.record({"loss": 1, "accuracy": 2, "note": "text"}, epoch=0)
        run.finish()
    assert value(gateway, "gangplank_train_loss") == 1
    assert value(gateway, "gangplank_train_accuracy") is None
    assert [record.getMessage() for record in caplog.records] == [
        "The metric 'f1' was asked for and never appeared",
        "The metric 'val_accuracy' was asked for and never appeared",
    ]


def test_nothing_is_missed_in_a_run_that_ended_before_its_first_epoch(
    gateway: Server, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run(gateway.address, "digits", metrics=["loss"])
    run.start()
    run.finish(ValueError())
    assert not caplog.records


def test_a_val_metric_is_not_missed_in_an_evaluation(gateway: Server, caplog: pytest.LogCaptureFixture) -> None:
    with Run(gateway.address, "digits", "test", metrics=["loss", "val_loss"]) as run:
        run.record({"loss": 1})
    assert not caplog.records


def test_bad_metrics_are_counted_and_reported_once_and_lose_nothing_else(
    gateway: Server, caplog: pytest.LogCaptureFixture
) -> None:
    bad: dict[Any, Any] = {"note": "0.5", "vector": np.ones(3), "huge": 10**400, 3: 1.0, "": 2.0, "none": None}
    with Run(gateway.address, "digits") as run:
        for epoch in range(2):
            run.record({**bad, "loss": 0.5}, epoch=epoch)
    assert value(gateway, "gangplank_train_loss") == 0.5
    dropped = samples(gateway.metrics(), "gangplank_run_dropped_metrics_total")
    assert {sample.labels["reason"]: sample.value for sample in dropped} == {
        "not_numeric": 6,
        "too_large": 2,
        "name": 4,
        "too_many": 0,
        "weights": 0,
    }
    assert len(caplog.records) == len(bad)


def test_nan_and_infinities_are_what_they_are(gateway: Server) -> None:
    with Run(gateway.address, "digits") as run:
        run.record({"loss": float("nan"), "up": float("inf"), "down": -np.inf, "fine": 1}, epoch=0)
    assert value(gateway, "gangplank_run_nonfinite_metrics") == 3
    assert value(gateway, "gangplank_train_up") == float("inf")
    assert value(gateway, "gangplank_train_down") == float("-inf")
    assert np.isnan(value(gateway, "gangplank_train_loss") or 0)


def test_names_that_collide_are_kept_apart_and_reported_once(gateway: Server, caplog: pytest.LogCaptureFixture) -> None:
    with Run(gateway.address, "digits") as run:
        for epoch in range(2):
            run.record({"a/b": 1, "a_b": 2, "model_weights": 3}, epoch=epoch)
    text = gateway.metrics()
    assert next(samples(text, "gangplank_train_a_b")).value == 2
    gauges = re.findall(r"^gangplank_train_(a_b_[0-9a-f]{8}|model_weights_[0-9a-f]{8}){.*} (\d)$", text, re.MULTILINE)
    assert sorted(found for _, found in gauges) == ["1", "3"]
    assert len(caplog.records) == 2


def test_a_learning_rate_in_the_logs_is_the_learning_rate(gateway: Server) -> None:
    with Run(gateway.address, "digits") as run:
        run.record({"loss": 1, "learning_rate": 0.5}, epoch=0, learning_rates={"": 0.25})
    assert value(gateway, "gangplank_train_learning_rate") == 0.5
    assert value(gateway, "gangplank_run_metric_epoch", metric="learning_rate") is None


def test_several_optimizers_have_a_learning_rate_each(gateway: Server) -> None:
    with Run(gateway.address, "digits") as run:
        run.record({"loss": 1}, epoch=0, learning_rates={"generator": 0.25, "critic": 0.125})
    assert value(gateway, "gangplank_train_learning_rate", optimizer="critic") == 0.125


def test_rates_that_are_no_more_are_not_shown(gateway: Server) -> None:
    with Run(gateway.address, "digits") as run:
        run.record(learning_rates=0.5, epoch=0)
        run.record(learning_rates={"Adam/pg1": 0.25, "Adam/pg2": 0.125}, epoch=1)
        run.record({"learning_rate": 3.0}, learning_rates={"Adam/pg1": 0.25, "Adam/pg2": 0.0625}, epoch=2)
        run.record({"loss": 3.0})
    rates = {s.labels.get("optimizer"): s.value for s in samples(gateway.metrics(), "gangplank_train_learning_rate")}
    assert rates == {"Adam/pg1": 0.25, "Adam/pg2": 0.0625}


def test_metrics_beyond_the_cap_are_dropped_and_counted(gateway: Server) -> None:
    with Run(gateway.address, "digits") as run:
        for epoch in range(2):
            run.record({f"m{index}": index for index in range(1000)}, epoch=epoch)
    text = gateway.metrics()
    assert len(list(samples(text, "gangplank_run_metric_epoch"))) == 800
    assert text.count("\ngangplank_") < 2_000
    assert value(gateway, "gangplank_run_dropped_metrics_total", reason="too_many") == 400


@pytest.mark.parametrize(("frequency", "counted"), [(1, [0, 1, 2, 3, "end"]), (2, [1, 3, "end"]), (0, ["end"])])
def test_weights_are_read_when_they_are_due_and_not_before(
    gateway: Server, frequency: int, counted: list[object]
) -> None:
    read: list[object] = []

    def weights(when: object) -> Any:
        read.append(when)
        yield np.ones(3)

    run = Run(gateway.address, "digits", histogram_buckets=EDGES, histogram_freq=frequency)
    for epoch in range(4):
        run.record({"loss": 1}, epoch=epoch, weights=weights(epoch))
    run.finish(weights=weights("end"))
    assert read == counted
    assert value(gateway, "gangplank_train_model_weights_count") == 3


def test_without_edges_no_weight_is_read(gateway: Server) -> None:
    def unread() -> Any:
        yield pytest.fail("read")

    with Run(gateway.address, "digits") as run:
        run.record({"loss": 1}, epoch=0, weights=unread())
    assert "model_weights" not in gateway.metrics()


def test_weights_that_cannot_be_counted_cost_no_metric(gateway: Server, caplog: pytest.LogCaptureFixture) -> None:
    with Run(gateway.address, "digits", histogram_buckets=EDGES) as run:
        run.record({"loss": 1}, epoch=0, weights=[np.array([1j])])
    assert value(gateway, "gangplank_train_loss") == 1
    assert value(gateway, "gangplank_run_dropped_metrics_total", reason="weights") == 1
    assert "complex128" in caplog.text


def test_step_records_keep_to_the_push_interval() -> None:
    handler = Recorder()
    run = Run("gateway:1", "digits", handler=handler, push_interval=30)
    run.start()
    eventually(lambda: handler.calls)
    for step in range(50):
        run.record({"loss": step}, step=step)
    assert len(handler.calls) == 1
    run.finish()
    assert len(handler.calls) == 2
    assert b"gangplank_train_loss" in handler.calls[-1]["data"]


# What goes wrong with the gateway


def test_a_gateway_that_is_down_costs_the_run_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    start = time.monotonic()
    with Run(f"127.0.0.1:{port}", "digits") as run:
        for epoch in range(50):
            run.record({"loss": 0.5}, epoch=epoch)
    assert time.monotonic() - start < 2
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert f"http://127.0.0.1:{port} is out of reach" in warnings[0]
    with pushgateway(tmp_path, port=port) as gateway:  # which comes back after the run has ended
        eventually(lambda: value(gateway, "gangplank_run_state", state="finished") == 1)
        assert (value(gateway, "gangplank_run_export_failures_total", reason="unreachable") or 0) >= 1


def test_a_seeded_training_draws_the_same_numbers_with_and_without_us() -> None:
    random.seed(1)
    before = random.getstate()
    run = Run(f"127.0.0.1:{free_port()}", "digits", histogram_buckets=EDGES)
    run.record({"loss": 0.5}, epoch=0, weights=WEIGHTS)
    run.finish()  # after an attempt that failed
    assert random.getstate() == before


def test_a_late_page_never_overwrites_that_of_a_newer_run(tmp_path: Path) -> None:
    port = free_port()
    older = Run(f"127.0.0.1:{port}", "digits", run="older")
    older.record({"loss": 1}, epoch=0)
    older.finish()
    with pushgateway(tmp_path, port=port) as gateway:
        newer = Run(gateway.address, "digits", run="newer", ignore_exceptions=False)
        newer.record({"loss": 2}, epoch=0)
        newer.finish()
        older.destinations.hurry()
        eventually(lambda: not older.destinations._each[0].outbox.undelivered())  # noqa: SLF001  given up, not sent
        assert value(gateway, "gangplank_train_loss", run="newer") == 2


def test_readings_that_are_no_numbers_cost_no_metric(gateway: Server) -> None:
    with Run(gateway.address, "digits") as run:
        rates: dict[Any, Any] = {0: 0.5, "bad": None}
        run.record({"loss": 1}, epoch=0, step="x", learning_rates=rates)  # type: ignore[arg-type]
    assert value(gateway, "gangplank_train_loss") == 1
    assert value(gateway, "gangplank_train_learning_rate", optimizer="0") == 0.5
    assert value(gateway, "gangplank_run_dropped_metrics_total", reason="not_numeric") == 1


def test_a_gateway_that_hangs_is_waited_for_once_and_not_long(gateway: Server) -> None:
    run = Run(gateway.address, "digits", flush_timeout=0.3, timeout=30)
    gateway.freeze()
    took = []
    for _ in range(2):
        start = time.monotonic()
        run = run.phase("train")
        run.record({"loss": 0.5}, epoch=0)
        run.finish()
        took.append(time.monotonic() - start)
    gateway.thaw()
    assert took[0] < 2
    assert took[1] < 0.25
    eventually(lambda: value(gateway, "gangplank_run_state", state="finished") == 1)


def test_a_destination_that_hangs_for_many_epochs_gets_the_newest_and_keeps_little() -> None:
    goes_on = threading.Event()

    class Hangs(Shelf):
        def send(self, page: Page, timeout: float) -> None:
            goes_on.wait(30)
            super().send(page, timeout)

    shelf = Hangs()
    with Run("shelf://here", "digits", sink=lambda _: shelf, flush_timeout=30) as run:
        for epoch in range(1000):
            run.record({"loss": float(epoch), f"of_{epoch % 7}": float(epoch)}, epoch=epoch)
        assert sum(type(one) is Snapshot for one in gc.get_objects()) < 100
        goes_on.set()
    assert shelf.value("gangplank_run_epoch") == 1000
    assert shelf.value("gangplank_train_loss") == 999
    assert [shelf.value(f"gangplank_train_of_{place}") for place in range(7)] == [994, 995, 996, 997, 998, 999, 993]
    assert len(shelf.pages) <= 3


def test_the_gateways_reason_reaches_the_log_once(gateway: Server, caplog: pytest.LogCaptureFixture) -> None:
    clash = b"# TYPE gangplank_train_loss counter\ngangplank_train_loss 1\n"
    urllib.request.urlopen(urllib.request.Request(f"{gateway.url}/metrics/job/other", clash, method="PUT")).close()
    with Run(gateway.address, "digits") as run:
        for epoch in range(3):
            run.record({"loss": 0.5}, epoch=epoch)
    rejected = [record.getMessage() for record in caplog.records if "answered 400" in record.getMessage()]
    assert len(rejected) == 1
    assert "gangplank_train_loss" in rejected[0].partition("answered 400")[2]
    assert "\n" not in rejected[0]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        *((TimeoutError("slow"), "timeout"), (ConnectionResetError("gone"), "unreachable")),
        (RuntimeError("a bug in the handler"), "internal"),
    ],
)
def test_what_a_handler_raises_is_counted_by_its_reason(error: Exception, reason: str) -> None:
    handler = Recorder(error)
    run = Run("gateway:1", "digits", handler=handler)
    run.record({"loss": 0.5}, epoch=0)
    counted = re.compile(rf'failures_total{{reason="{reason}",run="[^"]+"}} [1-9]'.encode())
    eventually(lambda: counted.search(handler.calls[-1]["data"]) if handler.calls else None)
    handler.error = None
    run.finish()


# The strict exporter: `ignore_exceptions` is False


def test_strict_waits_for_each_push(gateway: Server) -> None:
    run = Run(gateway.address, "digits", ignore_exceptions=False)
    run.start()
    for epoch in range(3):
        run.record({"loss": epoch}, epoch=epoch)
        assert value(gateway, "gangplank_train_loss") == epoch
    run.finish()


def test_strict_raises_where_nobody_listens() -> None:
    port = free_port()
    run = Run(f"127.0.0.1:{port}", "digits", ignore_exceptions=False)
    with pytest.raises(DeliveryError, match=rf"http://127\.0\.0\.1:{port} is out of reach"):
        run.start()


def test_strict_raises_within_the_deadline_where_the_gateway_hangs(gateway: Server) -> None:
    run = Run(gateway.address, "digits", ignore_exceptions=False, timeout=0.3)
    gateway.freeze()
    start = time.monotonic()
    with pytest.raises(DeliveryError, match=r"did not answer within 0\.3 s"):
        run.start()
    assert time.monotonic() - start < 1.3
    gateway.thaw()


def test_strict_raises_where_a_handler_hangs() -> None:
    def handler(url: str, method: str, timeout: float | None, headers: list[Any], data: bytes) -> Any:
        return lambda: time.sleep(3)

    run = Run("gateway:1", "digits", ignore_exceptions=False, timeout=0.1, handler=handler)
    with pytest.raises(DeliveryError, match=r"http://gateway:1 took nothing within 1\.1 s"):
        run.start()


def test_strict_raises_at_a_wanted_metric_that_is_no_number(gateway: Server) -> None:
    run = Run(gateway.address, "digits", metrics=["note"], ignore_exceptions=False)
    with pytest.raises(MetricError, match="'note' cannot be exported: a str is no number"):
        run.record({"note": "text"}, epoch=0)
    run.finish()


def test_strict_raises_at_weights_that_cannot_be_counted(gateway: Server) -> None:
    run = Run(gateway.address, "digits", histogram_buckets=EDGES, ignore_exceptions=False)
    with pytest.raises(MetricError, match="complex128"):
        run.record({"loss": 1}, epoch=0, weights=[np.array([1j])])
    run.finish()


def test_strict_says_what_a_fault_of_ours_was(gateway: Server) -> None:
    run = Run(gateway.address, "digits", ignore_exceptions=False)
    with pytest.raises(ExportError, match="recording failed: AttributeError"):
        run.record([1, 2, 3], epoch=0)  # type: ignore[arg-type]
    run.finish()


def test_strict_never_replaces_the_users_own_exception() -> None:
    handler = Recorder()
    with (  # noqa: PT012  what the user's code does
        pytest.raises(ZeroDivisionError),
        Run("gateway:1", "a", handler=handler, ignore_exceptions=False) as run,
    ):
        run.start()
        handler.error = OSError("down")
        raise ZeroDivisionError


def test_lenient_logs_what_a_fault_of_ours_was(gateway: Server, caplog: pytest.LogCaptureFixture) -> None:
    with Run(gateway.address, "digits") as run:
        for _ in range(3):
            run.record([1, 2, 3], epoch=0)  # type: ignore[arg-type]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "recording failed: AttributeError" in caplog.text


# Construction


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"job": ""}, "job is empty"),
        ({"job": 3}, "job=3: give text"),
        ({"job": "\udcff"}, "surrogate"),
        ({"address": "gateway"}, "lacks the port"),
        ({"phase": "fit"}, "a phase is one of train"),
        ({"metrics": "loss"}, r'metrics=\["loss"\]'),
        ({"metrics": [1]}, "metrics holds 1"),
        ({"histogram_buckets": [1, 0]}, "increase strictly"),
        ({"histogram_buckets": range(151)}, "151 edges"),
        ({"metrics": 5}, "give a list of names"),
        ({"grouping_key": ["team"]}, "grouping_key is a list"),
        ({"timeout": 10**400}, "a day at most"),
        ({"push_interval": 1e10}, "a day at most"),
        ({"handler": ("me", "canary")}, "handler= is a tuple"),
        ({"address": "http://me:1/x@gateway:9091"}, "write '/' as %2F"),
        ({"histogram_freq": -1}, "histogram_freq"),
        ({"histogram_freq": True}, "histogram_freq"),
        ({"handler": "auth"}, "give a callable"),
        ({"handler": Recorder(), "address": "http://me:secret@gateway:1"}, "credentials"),
        ({"grouping_key": {"run": "x"}}, "rename it"),
        ({"grouping_key": {"host": "x"}}, "rename it"),
        ({"grouping_key": {"team": "x"}, "info": {"team": "y"}}, "rename it"),
        ({"grouping_key": {"team": ""}}, "empty label is no label"),
        ({"info": {"le": "x"}}, "rename it"),
        ({"run": ""}, "run is empty"),
        ({"concurrent": True, "run": None}, "concurrent=True"),
        ({"timeout": 0}, "timeout=0: give seconds"),
        ({"timeout": float("nan")}, "timeout=nan"),
        ({"flush_timeout": -1}, "flush_timeout=-1"),
        ({"push_interval": "15"}, "push_interval='15'"),
    ],
)
def test_a_mistake_is_refused_before_any_training(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Run(**{"address": "gateway:9091", "job": "digits", **options})


def test_a_phase_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="a phase is one of train"):
        Run("gateway:9091", "digits").phase("fit")


@pytest.mark.parametrize("off", ["1", "true"])
def test_disabled_it_does_nothing(off: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANGPLANK_DISABLED", off)
    handler = Recorder()
    with Run("gateway:1", "digits", handler=handler, ignore_exceptions=False) as run:
        run.record({"loss": "text"}, epoch=0)
    assert not handler.calls


@pytest.mark.parametrize("on", ["", "0"])
def test_disabled_with_nothing_is_enabled(on: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANGPLANK_DISABLED", on)
    handler = Recorder()
    # A gateway of its own: one that took nothing in another test is not waited for.
    with Run("enabled:1", "digits", handler=handler) as run:
        run.record({"loss": 1}, epoch=0)
    assert handler.calls
