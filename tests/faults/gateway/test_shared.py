"""A gateway that other jobs, and other runs of the same job, push to."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import pytest

import gangplank
from support.gateway_faults import put
from support.logged import warnings
from support.reading import eventually, samples, value
from support.servers import Prometheus, Server, prometheus, pushgateway
from support.timing import hooks_are_quick

# Row 13: a name that another job has taken


def test_a_name_of_another_type_elsewhere_is_reported_once_and_costs_this_group_only(
    gateway: Server, caplog: pytest.LogCaptureFixture
) -> None:
    put(gateway, "other", "# TYPE gangplank_train_loss counter\ngangplank_train_loss 1\n")
    exporter = gangplank.Exporter(gateway.address, "digits")
    for _ in range(2):
        run = exporter.run()
        hooks_are_quick(run)
        run.record({"loss": 0.5}, epoch=150)
        run.finish()
        test = exporter.run("test")
        test.record({"loss": 0.25})
        test.finish()
    eventually(lambda: value(gateway, "gangplank_test_loss", job="digits") == 0.25)
    eventually(lambda: value(gateway, "gangplank_run_state", phase="test", state="finished") == 1)
    assert value(gateway, "gangplank_train_loss", job="digits") is None
    (said,) = warnings(caplog)
    assert re.search(r"phase='train' did not arrive.* answered 400: .*gangplank_train_loss", said)
    assert list(samples(gateway.metrics(), "gangplank_train_loss_total", job="other"))
    put(gateway, "other", "unrelated 1\n")
    run = exporter.run()
    run.record({"loss": 0.125}, epoch=0)
    run.finish()
    eventually(lambda: value(gateway, "gangplank_train_loss", job="digits") == 0.125)


# Row 15: two runs of one job at once

SEVERAL_RUN = 'count without (run) (last_over_time(gangplank_run_state{state="running"}[1m]) == 1) > 1'
TURNED_BACK = "resets(max without (run) (gangplank_run_start_timestamp_seconds)[1m:250ms]) > 0"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Prometheus]]:
    """A gateway, and a Prometheus that scrapes it; each test has a job of its own there."""
    folder = tmp_path_factory.mktemp("watched")
    with pushgateway(folder) as server, prometheus(folder, server.address) as database:
        yield server, database


def fires(database: Prometheus, rule: str, job: str) -> list[float]:
    """Return the values that a rule has for a job now."""
    return [value for labels, value in database.query(rule) if (labels["job"], labels["phase"]) == (job, "train")]


@pytest.mark.parametrize("concurrent", [False, True])
def test_two_runs_of_a_job_at_once_can_be_seen(watched: tuple[Server, Prometheus], concurrent: bool) -> None:
    """Two ways to see it in Prometheus.

    SEVERAL_RUN: several `run` values of one group said `running` last, within a minute. Also true, for that minute,
    where a run was killed and another one took its place; and it counts concurrent runs, which are several by intent.

    TURNED_BACK: the group's start went back: an older run has pushed after a newer one. True only where both live, and
    never for concurrent runs, whose `max without (run)` only ever grows. The step of the subquery (250 ms here) is the
    scrape interval.
    """
    server, database = watched
    job = f"two, concurrent={concurrent}"
    runs = [gangplank.run(server.address, job, concurrent=concurrent) for _ in range(2)]
    names = set()
    for epoch, run in itertools.product(range(3), runs):
        run.record({"loss": runs.index(run)}, epoch=epoch)
        assert run.name
        names.add(run.name)
        database.await_query(f'gangplank_run_epoch{{run="{run.name}"}} == {epoch + 1}')
        # The newer push is what the gateway holds, all of it.
        held = {sample.labels["run"] for sample in samples(server.metrics(), "gangplank_train_loss", job=job)}
        assert held == (names if concurrent else {run.name})
    assert eventually(lambda: fires(database, SEVERAL_RUN, job)) == [2]
    if concurrent:
        assert fires(database, TURNED_BACK, job) == []
    else:
        assert eventually(lambda: fires(database, TURNED_BACK, job))[0] >= 1
    for run in runs:
        run.finish()
    losses = {s.labels["run"]: s.value for s in samples(server.metrics(), "gangplank_train_loss", job=job)}
    assert losses == {run.name: loss for loss, run in enumerate(runs) if concurrent or run is runs[1]}


def test_runs_of_a_job_one_after_the_other_are_not_taken_for_two_at_once(watched: tuple[Server, Prometheus]) -> None:
    server, database = watched
    exporter = gangplank.Exporter(server.address, "one")
    for _ in range(3):
        run = exporter.run()
        run.record({"loss": 1}, epoch=0)
        database.await_query(f'gangplank_run_state{{run="{run.name}", state="running"}} == 1')
        run.finish()
        database.await_query(f'gangplank_run_state{{run="{run.name}", state="finished"}} == 1')
    assert fires(database, SEVERAL_RUN, "one") == []
    assert fires(database, TURNED_BACK, "one") == []
