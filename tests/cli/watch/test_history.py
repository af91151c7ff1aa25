"""What is kept of the past: all of the time, in bounded memory, of the runs that are there."""

from __future__ import annotations

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


def test_a_run_that_is_gone_is_forgotten_and_one_that_has_ended_stands_still() -> None:
    kept = History()
    kept.add([run("a", loss=1), run("b", "finished", loss=1)], 1.0)
    kept.add([run("b", "finished", loss=1)], 2.0)
    assert kept.points(run("a").key, "loss") == []
    assert kept.points(run("b").key, "loss") == [(1, 1)]


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
