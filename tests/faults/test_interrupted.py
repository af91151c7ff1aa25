"""Ctrl-C while our threads start, or anywhere in a record: afterwards there is one of each kind, and it works."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import linecache
import operator
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from types import CodeType, FrameType
from typing import Any

import pytest

import gangplank
from gangplank import RunInfo, Snapshot, hookimpl, hooks
from gangplank.core import worker
from gangplank.core.delivery import outbox, pending
from gangplank.core.plugins import observers
from gangplank.testing import MemorySink
from support.reading import eventually
from support.threads import alive, without_earlier_threads

__all__ = ["without_earlier_threads"]
CLASSES = (outbox.Outbox, pending.Pending, observers.Observers, worker.Worker)
OURS = {inspect.getsourcefile(owner) for owner in CLASSES}
PYTHONS = {threading.Thread.start.__code__, threading.Thread.__init__.__code__, threading.Event.wait.__code__}


def starts_threads(code: CodeType) -> bool:
    """Return whether it belongs to what starts our threads."""
    of_ours = code.co_filename in OURS and code.co_qualname.startswith(tuple(owner.__name__ for owner in CLASSES))
    return of_ours or code in PYTHONS


class CtrlC:
    """Raises KeyboardInterrupt at one line of what starts our threads, on the thread that calls.

    Not where a `with` block ends: between its last line and the release of the lock, Python raises nothing.

    Args:
        at: the number of the line, counted as they are run.
    """

    def __init__(self, at: int) -> None:
        self.left = at
        self.seen: set[tuple[FrameType, int]] = set()

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if not starts_threads(frame.f_code):
            return None
        line = (frame, frame.f_lineno)
        leaves = line in self.seen and linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()[:4] == "with"
        self.seen.add(line)
        if event in ("call", "line") and not leaves:
            self.left -= 1
            if self.left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self


@contextlib.contextmanager
def ctrl_c(at: int) -> Iterator[None]:
    """Interrupt what the block calls at a line, if it has as many."""
    before = sys.gettrace()
    sys.settrace(CtrlC(at))
    try:
        yield
    finally:
        sys.settrace(before)


def test_ctrl_c_at_any_line_of_a_record_leaves_one_thread_that_sends_and_one_that_observes() -> None:
    observed: list[object] = []

    class Plugin:
        @hookimpl
        def gangplank_snapshot(self, run: RunInfo, snapshot: Snapshot) -> None:
            observed.append(snapshot.metrics.get("loss"))

    hooks.register(Plugin(), "watches")
    try:
        for at in itertools.count():
            memory = MemorySink()
            run = gangplank.run("memory", "digits", sink=memory)
            ended = False
            with contextlib.suppress(KeyboardInterrupt), ctrl_c(at):
                run.record({"loss": 0.5}, epoch=0)
                ended = True
            run.record({"loss": at}, epoch=1)
            eventually(partial(memory.value, "gangplank_train_loss"), until=partial(operator.eq, at))
            eventually(partial(operator.contains, observed, at))
            eventually(lambda: len(alive("gangplank-outbox")) == 1)
            eventually(lambda: not alive("gangplank-observers"))
            run.finish()
            eventually(lambda: not alive("gangplank-outbox"))
            if ended:
                break
    finally:
        hooks.unregister("watches")
    assert at > 50, "there are as many lines"


# Does something until a timer sends Ctrl-C, at another moment each time, and then once more: that has to have worked.
AGAIN_AND_AGAIN = """
import signal, time
{prepare}
def be_interrupted():
    end = time.monotonic() + 0.02  # what is raised in a weak reference's callback, Python ignores
    while time.monotonic() < end:
        do(-1)
signal.signal(signal.SIGALRM, signal.default_int_handler)
for trial in range({trials}):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001 + trial * 1e-6)
        be_interrupted()
    except KeyboardInterrupt:
        pass
    do(trial)
    end = time.monotonic() + 20
    while not seen(trial):
        assert time.monotonic() < end, f"nothing after Ctrl-C {{trial}}"
        time.sleep(0.001)
"""
WAKES = """
from gangplank.core.delivery.outbox import Outbox
class Source:
    group, running, newest = "train", True, None
sent = None
def do(number):
    Source.newest = number
    box.wake(Source, at_once=number >= 0)
def send(source, timeout):
    global sent
    sent = source.newest
def seen(number):
    return sent == number
box = Outbox(send, to="the post", timeout=5, push_interval=15, on_delivery=lambda *_: None)
"""
RECORDS = """
import gangplank
from gangplank import hooks
from gangplank.testing import MemorySink
class Plugin:
    observed = None
    @gangplank.hookimpl
    def gangplank_snapshot(self, run, snapshot):
        self.observed = snapshot.metrics["loss"]
def do(number):
    run.record({"loss": number}, epoch=0)
def seen(number):
    del memory.pages[:-1]
    return memory.value("gangplank_train_loss") == plugin.observed == number
plugin, memory = Plugin(), MemorySink()
hooks.register(plugin, "watches")
run = gangplank.run("memory", "digits", sink=memory)
"""


@pytest.mark.parametrize(("prepare", "trials"), [(WAKES, 500), (RECORDS, 200)], ids=["wakes", "records"])
def test_hundreds_of_ctrl_c_leave_no_lock_held_and_no_thread_forgotten(prepare: str, trials: int) -> None:
    program = AGAIN_AND_AGAIN.format(prepare=prepare, trials=trials)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
