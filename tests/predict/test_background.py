"""A queue of tasks: bounded, in order, and the process' own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from gangplank.core.lifecycle import process
from gangplank.predict import background
from gangplank.predict.background import Background
from support.predicted import held_up
from support.reading import eventually
from support.threads import alive, without_earlier_threads  # noqa: F401  a fixture

SOON = 20.0


def flush(queue: Background) -> None:
    queue.flush(time.monotonic() + SOON)


def test_tasks_are_done_in_order_on_one_thread() -> None:
    queue, done = Background("tasks", 100), list[tuple[int, int]]()
    for number in range(100):
        assert queue.put(lambda number=number: done.append((number, threading.get_ident())))  # type: ignore[misc]
    flush(queue)
    assert [number for number, _ in done] == list(range(100))
    assert len({thread for _, thread in done} - {threading.get_ident()}) == 1


def test_a_full_queue_takes_no_more() -> None:
    queue, done = Background("tasks", 2), list[int]()
    with held_up() as (wait, entered, released):
        queue.put(wait)
        entered.wait(SOON)
        assert [queue.put(lambda number=n: done.append(number)) for n in range(3)] == [True, True, False]  # type: ignore[misc]
        assert queue.full
        released.set()
        flush(queue)
    assert done == [0, 1]
    assert not queue.full


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_task_that_raises_ends_no_other(error: type[BaseException]) -> None:
    queue, done = Background("tasks", 2), threading.Event()

    def fail() -> None:
        raise error

    queue.put(fail)
    queue.put(done.set)
    assert done.wait(SOON)


def test_a_wait_ends_when_the_tasks_do_not(registry: object) -> None:
    queue = Background("tasks", 2)
    with held_up() as (wait, _, released):
        queue.put(wait)
        queue.flush(time.monotonic() + 0.05)
        assert not released.is_set()
        queue.put(lambda: flush(queue))  # does not wait for itself
        released.set()
        flush(queue)


def test_the_thread_ends_when_it_has_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_LINGER", 0.01)
    queue, done = Background("brief tasks", 2), threading.Event()
    queue.put(lambda: None)
    eventually(lambda: alive("brief tasks"), lambda threads: not threads)
    queue.put(done.set)
    assert done.wait(SOON)


def test_one_that_nobody_needs_ends_its_thread_when_its_tasks_are_done() -> None:
    queue, done = Background("last tasks", 9), list[int]()
    with held_up() as (wait, entered, released):
        queue.put(wait)
        entered.wait(SOON)
        queue.put(lambda: done.append(1))
        queue.end()
        queue.put(lambda: done.append(2))  # by somebody who does need it
        released.set()
        flush(queue)
    assert done == [1, 2]
    eventually(lambda: len(alive("last tasks")), lambda threads: threads == 1)
    queue.end()
    eventually(lambda: alive("last tasks"), lambda threads: not threads)
    queue.put(lambda: done.append(3))
    flush(queue)
    assert done == [1, 2, 3]


def test_a_process_that_exits_waits_for_its_tasks() -> None:
    program = """
        import time
        from gangplank.predict.background import Background
        queue = Background("tasks", 9)
        queue.put(lambda: time.sleep(0.05))
        queue.put(lambda: print("done", flush=True))
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert done.stdout == "done\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_child_has_a_queue_of_its_own() -> None:
    queue, done = Background("tasks", 9), list[str]()
    with held_up() as (wait, entered, released):
        queue.put(wait)
        entered.wait(SOON)
        queue.put(lambda: done.append("the parent's"))
        with queue._lock:  # noqa: SLF001  somebody holds it, as another thread may
            pid = os.fork()
        if not pid:  # pragma: no cover
            try:
                signal.alarm(20)
                queue.put(lambda: done.append("the child's"))
                flush(queue)
                os._exit(0 if done == ["the child's"] else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        released.set()
        flush(queue)
    assert done == ["the parent's"]
    assert queue in process.senders
