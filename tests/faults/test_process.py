"""What happens to a process: exceptions, Ctrl-C, exits, kills, forks, and an interpreter that shuts down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

import gangplank
from gangplank.core.delivery import outbox
from support.reading import eventually, samples, value
from support.servers import Server

# A training script: one epoch, and then what the test wants.
TRAINS = """
import os, signal, sys, threading, time
import gangplank
exporter = gangplank.Exporter("{address}", "digits")
run = exporter.run()
run.start(epochs=9)
run.record({{"loss": 0.5}}, epoch=0)
"""


def script(gateway: Server, then: str) -> list[str]:
    return [sys.executable, "-c", TRAINS.format(address=gateway.address) + textwrap.dedent(then)]


def ran(gateway: Server, then: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(script(gateway, then), capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("then", "code", "state", "said"),
    [
        pytest.param("raise ValueError('mine')", 1, "failed", "ValueError: mine", id="an exception"),
        pytest.param("os.kill(os.getpid(), signal.SIGINT); time.sleep(9)", -2, "interrupted", "KeyboardInterrupt"),
        pytest.param("sys.exit(3)", 3, "failed", "", id="sys.exit"),  # which looks like the end of the script
        pytest.param("run.finish()", 0, "finished", "", id="the end"),
    ],
)
def test_however_a_script_ends_the_gateway_learns_of_it(
    gateway: Server, then: str, code: int, state: str, said: str
) -> None:
    done = ran(gateway, then)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stderr.count("Traceback") == (1 if said else 0)
    assert "gangplank" not in done.stderr
    assert value(gateway, "gangplank_run_state", state=state) == 1
    assert value(gateway, "gangplank_train_loss") == 0.5


def test_a_kill_loses_an_epoch_at_most_and_dead_differs_from_slow(
    gateway: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    then = """
    from gangplank.core.delivery import outbox
    outbox.HEARTBEAT = 0.1
    run.record({"loss": 0.25}, epoch=1)
    print("slow", flush=True)
    time.sleep(60)
    """
    with subprocess.Popen(script(gateway, then), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "slow\n"

        def heartbeat() -> float:
            return value(gateway, "gangplank_run_heartbeat_timestamp_seconds") or 0

        eventually(lambda: value(gateway, "gangplank_run_epoch") == 2)
        progress = value(gateway, "gangplank_run_last_update_timestamp_seconds")
        beat = heartbeat()
        eventually(lambda: heartbeat() > beat)  # slow: the heart beats, and there is no progress
        assert value(gateway, "gangplank_run_last_update_timestamp_seconds") == progress
        process.kill()
        process.wait()
    last = eventually(heartbeat)
    time.sleep(0.5)  # five beats that would come
    assert heartbeat() == last  # dead: it does not, and the state still says running
    assert value(gateway, "gangplank_run_state", state="running") == 1
    assert value(gateway, "gangplank_train_loss") == 0.25


def test_a_process_of_its_own_may_evaluate(gateway: Server) -> None:
    ran(gateway, "run.finish()")
    evaluate = """
    with exporter.run("test") as test:
        test.record({"loss": 0.125})
    """
    train = value(gateway, "gangplank_run_start_timestamp_seconds", phase="train")
    evaluation = TRAINS.replace("run.start(epochs=9)", "").replace('run.record({{"loss": 0.5}}, epoch=0)', "")
    code = evaluation.format(address=gateway.address) + textwrap.dedent(evaluate)
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert value(gateway, "gangplank_test_loss") == 0.125
    assert value(gateway, "gangplank_train_loss") == 0.5
    assert value(gateway, "gangplank_run_start_timestamp_seconds", phase="train") == train


def test_a_training_that_ended_without_a_word_is_noticed_within_a_heartbeat(
    gateway: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "HEARTBEAT", 0.05)
    alive = threading.Event()
    alive.set()
    run = gangplank.run(gateway.address, "digits")
    run.start(alive=alive.is_set)
    run.record({"loss": 0.5}, epoch=0)
    beat = eventually(lambda: value(gateway, "gangplank_run_heartbeat_timestamp_seconds"))
    eventually(lambda: value(gateway, "gangplank_run_heartbeat_timestamp_seconds") != beat)
    assert value(gateway, "gangplank_run_state", state="running") == 1
    alive.clear()
    eventually(lambda: value(gateway, "gangplank_run_state", state="failed") == 1)
    assert not run.open


# Forks


def waited_for(child: int, timeout: float = 20) -> int:
    """Return a child's exit code, or kill it where it hangs."""
    end = time.monotonic() + timeout
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        time.sleep(0.001)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_two_hundred_forks_under_load_hang_nowhere(gateway: Server) -> None:
    stop = threading.Event()
    parents = gangplank.run(gateway.address, "parent", histogram_buckets=[0.0])
    parents.start()

    def load() -> None:
        epoch = 0
        while not stop.wait(0.001):  # without, these two may keep the interpreter from all others for seconds
            parents.record({f"m{index}": index for index in range(20)}, epoch=epoch, weights=[[1.0]])
            epoch += 1

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(200):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    parents.record({"loss": 666}, epoch=666)  # the parent's run: not the child's to touch
                    parents.finish()
                    code = 0
                finally:
                    os._exit(code)
            assert waited_for(child) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    parents.finish()
    text = gateway.metrics()
    assert not list(samples(text, "gangplank_train_loss"))
    assert value(gateway, "gangplank_run_state", job="parent", state="finished") == 1


def test_a_forked_child_may_train_by_itself_and_its_exit_ends_nothing_of_its_parents(gateway: Server) -> None:
    forks = """
    import warnings
    warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)  # of Python 3.12 and later
    child = os.fork()
    if child == 0:
        with exporter.run("test") as test:
            test.record({"loss": 0.125})
        sys.exit(0)  # with all exit handlers
    os.waitpid(child, 0)
    print("forked", flush=True)
    sys.stdin.readline()
    run.finish()
    """
    with subprocess.Popen(
        script(gateway, forks), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "forked\n"
        assert value(gateway, "gangplank_test_loss") == 0.125
        eventually(lambda: value(gateway, "gangplank_run_state", phase="train", state="running") == 1)
        _, said = process.communicate("\n", timeout=60)
    assert said == ""
    assert value(gateway, "gangplank_run_state", phase="train", state="finished") == 1


# An interpreter that shuts down starts no thread


@pytest.mark.parametrize("begun", [True, False])
def test_what_is_pending_is_still_tried_when_no_thread_can_start(gateway: Server, begun: bool, tmp_path: Path) -> None:
    code = f"""
import atexit, threading, sys
import gangplank
exporter = gangplank.Exporter({gateway.address!r}, "digits")
run = exporter.run()
if {begun}:
    run.record({{"loss": 1}}, epoch=0)
    while not exporter._destinations._each[0].outbox._worker.alive: pass

def refuse(thread):
    raise RuntimeError("can't start new thread at interpreter shutdown")

def late():
    threading.Thread.start = refuse
    run.record({{"loss": 0.25}}, epoch=1)
    test.record({{"loss": 0.5}})
    test.finish()

test = exporter.run("test")
atexit.register(late)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    [line] = done.stderr.splitlines()
    assert "phase='train' is over, and nothing has ended it" in line
    assert value(gateway, "gangplank_train_loss") == 0.25
    assert value(gateway, "gangplank_test_loss") == 0.5
