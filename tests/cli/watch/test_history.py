"""What is kept of the past: all of the time, in bounded memory, of the runs that are there."""

from __future__ import annotations

import pytest

from gangplank.cli.remote.runs import RunStatus
from gangplank.cli.watch import history
from gangplank.cli.watch.history import POINTS, History
from gangplank.cli.watch.sources import Past
from support.servers import Server
from support.watched import page, push, watching


def run(job: str = "a", state: str = "running", **metrics: float) -> RunStatus:
    labels = {"job": job, "phase": "train"}
    return RunStatus(labels, tuple(sorted(labels.items())), state, (), "", "", None, None, metrics, None)


def test_the_whole_past_is_kept_in_a_bounded_number_of_points() -> None:
    kept = History()
    for second in range(10_000):
        kept.add([run(loss=second)], float(second))
    points = kept.points(run().key, "loss")
    assert POINTS / 2 <= len(points) <= POINTS
    assert points[0] == (0, 0)
    assert points[-1][0] > 9_900
    assert all(time == value for time, value in points)


def test_metrics_and_runs_are_bounded() -> None:
    kept = History()
    many = {f"m{number}": 1.0 for number in range(1_000)}
    kept.add([run("a", "running", **many), *(run(str(number), loss=1) for number in range(5_000))], 1.0)
    assert len(kept._curves) == history._RUNS  # noqa: SLF001
    assert len(kept._curves[run().key]) == history._METRICS  # noqa: SLF001


def test_a_run_that_is_gone_is_forgotten_after_a_while_and_one_that_has_ended_stands_still() -> None:
    """For a while: a gateway that was restarted shows a run again at its next push."""
    kept = History()
    kept.add([run("a", loss=1), run("b", "finished", loss=1)], 1.0)
    kept.add([run("b", "finished", loss=1)], 2.0)
    kept.add([run("a", loss=2), run("b", "finished", loss=1)], 300.0)
    assert kept.points(run("a").key, "loss") == [(1, 1), (300, 2)]
    assert kept.points(run("b").key, "loss") == [(1, 1)]
    kept.add([], 1000.0)
    assert kept.points(run("a").key, "loss") == []


@pytest.mark.parametrize("last", [0.5, float("nan")])
def test_the_curve_of_a_run_ends_with_its_last_value(last: float) -> None:
    """Between the last look while it ran and its end, it may have logged once more."""
    kept = History()
    kept.add([run("a", loss=1)], 1.0)
    for second in (2.0, 3.0):
        kept.add([run("a", "failed", loss=last, test_loss=7)], second)
    times, values = zip(*kept.points(run("a").key, "loss"), strict=True)
    assert times == (1, 2)
    assert values == pytest.approx((1, last), nan_ok=True)
    assert kept.points(run("a").key, "test_loss") == [(2, 7)]


def test_of_many_metrics_the_first_ones_have_a_past() -> None:
    kept = History()
    key = run().key
    many = {f"grad_norm_{number}": 1.0 for number in range(history._METRICS)}  # noqa: SLF001
    now = run("a", "running", loss=1, **many)
    kept.fill([Past(key, metric, [(1.0, 1.0)]) for metric in (*many, "loss")], [now])
    assert kept.points(key, "loss") == [(1, 1)]
    kept.add([run("a", "running", loss=1, val_loss=2, **many)], 2.0)
    assert kept.points(key, "val_loss") == [(2, 2)]
    assert len(kept._curves[key]) == history._METRICS  # noqa: SLF001


def test_what_a_server_knows_of_the_past_comes_first() -> None:
    kept = History()
    past = [Past(run(name).key, "loss", [(1.0, 5.0), (2.0, 4.0)]) for name in ("a", "gone")]
    kept.fill(past, [run("a", loss=3)])
    kept.add([run("a", loss=3)], 3.0)
    assert kept.points(run("a").key, "loss") == [(1, 5), (2, 4), (3, 3)]
    assert kept.points(run("gone").key, "loss") == []


def test_a_new_run_of_a_job_begins_anew(gateway: Server) -> None:
    watcher = watching(gateway.address)
    for name in ("r1", "r2"):
        push(gateway.address, page(run=name, train_loss=1), "a")
        [seen] = watcher.read().runs
        assert [value for _, value in watcher.history.points(seen.key, "loss")] == [1]


def test_so_does_one_without_a_name(gateway: Server) -> None:
    watcher = watching(gateway.address)
    for began in (3000, 10):
        push(gateway.address, page("running", {"run_start_timestamp_seconds": began}, run="", train_loss=began), "a")
        [seen] = watcher.read().runs
        assert [value for _, value in watcher.history.points(seen.key, "loss")] == [began]
    assert seen.started is not None
    before, after = (seen.started - 5, 9.0), (seen.started + 5, 1.0)
    kept = History()
    kept.fill([Past(seen.key, "loss", [before, after])], [seen])
    assert kept.points(seen.key, "loss") == [after]
