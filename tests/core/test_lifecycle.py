"""What a process has open, in a child that is forked from it."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import weakref

import gangplank
from gangplank.testing import MemorySink

FORKS = """
import json, os, sys, threading, time, warnings
warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)  # of Python 3.12 and later
import gangplank
from gangplank.core.lifecycle import process
from gangplank.testing import MemorySink


class Full(MemorySink):
    full = True
    attempts = 0

    def send(self, page, timeout):
        self.attempts += 1
        if self.full:
            raise gangplank.DeliveryError("full", "unreachable", retry_after=0.2)
        super().send(page, timeout)


memory = Full()
exporter = gangplank.Exporter("memory", "digits", sink=memory, run="parents", flush_timeout=5)
ended = exporter.run("test")
with ended:
    ended.record({"loss": 0.5})
run = exporter.run()
run.record({"loss": 0.5}, epoch=0)
while not memory.attempts:
    time.sleep(0.01)
inherits, gives = os.pipe()
if os.fork() == 0:
    attempts, memory.full = memory.attempts, False
    found = {
        "open": run.open,
        "runs": len(process.runs),
        "shown": len(process.shown),
        "waited for": not process.not_waited_for,
        "undelivered": [group for one in exporter._destinations._each for group in one.outbox.undelivered()],
        "threads": [thread.name for thread in threading.enumerate()],
    }
    run.record({"loss": 0.25}, epoch=1)
    run.step({"loss": 0.25}, duration=1.0)
    run.finish()
    process.exit()
    time.sleep(0.4)  # a retry of the parent's would be due
    found["sent"] = memory.attempts - attempts
    process.exiting = False
    with exporter.run("validate") as own:
        own.record({"loss": 0.125})
    found["own"] = [memory.attempts > attempts, memory.pages[-1].phase, memory.value("gangplank_validate_loss")]
    os.write(gives, json.dumps(found).encode())
    os._exit(0)
os.close(gives)
os.wait()
sys.stdout.write(os.read(inherits, 10_000).decode())
assert run.open
memory.full = False
run.finish()
process.exit()
states = {page.phase: page.state for page in memory.pages}
assert states == {"test": "finished", "train": "finished"}, states
"""


def test_a_forked_child_has_nothing_of_its_parents() -> None:
    done = subprocess.run(
        [sys.executable, "-Werror", "-c", FORKS], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "open": False,
        "runs": 0,
        "shown": 0,
        "waited for": True,
        "undelivered": [],
        "threads": ["MainThread"],
        "sent": 0,
        "own": [True, "validate", 0.125],
    }


def test_a_run_that_nothing_ends_is_not_kept_once_a_newer_one_has_replaced_it() -> None:
    exporter = gangplank.Exporter("memory", "digits", sink=MemorySink(), ignore_exceptions=False)
    seen: list[weakref.ref[gangplank.Run]] = []
    for _ in range(20):
        run = exporter.run()
        run.record({"loss": 0.5}, epoch=0)
        seen.append(weakref.ref(run))
    gc.collect()
    assert [reference() for reference in seen if reference() is not None] == [run]
