from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from gangplank.core.worker import Worker
from support.reading import eventually


class Work:
    """Works until it is told to end, or is not current; counts how often it has begun."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.worker = Worker("a worker", self.work, self.changed)
        self.begun, self.threads, self.end = 0, set[threading.Thread](), threading.Event()

    def work(self) -> None:
        with self.changed:
            if not self.worker.current:
                return
            self.begun += 1
            self.threads.add(threading.current_thread())
        self.end.wait(20)
        with self.changed:
            self.worker.leave()

    def start(self) -> None:
        with self.changed:
            self.worker.start()

    def finish(self) -> None:
        eventually(lambda: self.worker.alive and self.begun)
        self.end.set()
        for thread in self.threads:
            thread.join(20)


def test_however_often_it_is_started_one_thread_works() -> None:
    work = Work()
    assert not work.worker.alive
    for _ in range(1_000):
        work.start()
        assert work.worker.alive
        assert not work.worker.current
    work.finish()
    assert (work.begun, len(work.threads)) == (1, 1)
    assert [thread.daemon for thread in work.threads] == [True]


def test_when_it_has_ended_it_can_be_started_again() -> None:
    work = Work()
    for times in range(1, 4):
        work.end.clear()
        work.start()
        eventually(lambda times=times: work.begun == times)  # type: ignore[misc]
        work.finish()
        assert not work.worker.alive


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_who_waits_learns_of_its_end_whatever_ends_it() -> None:
    work, ended = Work(), []

    def die() -> None:
        work.threads.add(threading.current_thread())
        work.end.wait(20)
        raise MemoryError

    work.worker = Worker("a worker", die, work.changed)
    with work.changed:
        work.worker.start()
        threading.Timer(0.05, work.end.set).start()
        ended.append(work.changed.wait_for(lambda: not work.worker.alive, 20))
    assert ended == [True]
    for thread in work.threads:
        thread.join(20)  # by then Python has reported its exception


def test_a_thread_that_does_not_begin_is_replaced_and_will_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that is too busy, or after Ctrl-C inside `Thread.start`."""
    work, late = Work(), list[Callable[[], None]]()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda thread: late.append(thread.run))
        work.start()
    assert not work.worker.alive
    work.start()
    eventually(lambda: work.begun)
    late_one = threading.Thread(target=late[0])
    late_one.start()
    late_one.join(20)
    work.finish()
    assert work.begun == 1
