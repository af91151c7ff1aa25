"""Forks in C, as R's `mclapply` makes them: Python's hooks are not called in the child."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from support.reading import samples, value
from support.servers import Server, free_port

# A training with a thread that waits, and a child that has a copy of everything but the thread.
FORKS = """
import ctypes, os, sys, threading, time
import gangplank
exporter = gangplank.Exporter("{address}", "digits", update_freq="batch")
run = exporter.run()
run.record({{"loss": 0.5}}, epoch=0)
exporter._destinations.flush(time.monotonic() + 20)
{before}
time.sleep(0.3)  # until the other threads wait: Python itself does not survive the fork of one that waits for its lock
child = ctypes.PyDLL(None).fork()
if child == 0:
    {in_child}
end = time.monotonic() + 20
while not (ended := os.waitpid(child, os.WNOHANG))[0]:
    if time.monotonic() > end:
        os.kill(child, 9)
        sys.exit("the child hangs")
    time.sleep(0.01)
{after}
sys.exit(os.waitstatus_to_exitcode(ended[1]))
"""
# A thread that holds the outbox' lock, as the thread that sends may at the moment of the fork.
HELD = """
held, let_go = threading.Event(), threading.Event()
def hold(lock):
    with lock:
        held.set()
        let_go.wait()
for one in exporter._destinations._each:
    threading.Thread(target=hold, args=(one.outbox._lock,), daemon=True).start()
held.wait()
"""


def forked(address: str, in_child: str, *, before: str = "", after: str = "run.finish()") -> str:
    """Fork a training, and return what it says; its child ends with `os._exit` at the latest."""
    child = textwrap.indent(
        textwrap.dedent(f"try:\n{textwrap.indent(in_child, '    ')}\nfinally:\n    os._exit(7)"), "    "
    )
    code = FORKS.format(address=address, before=before, in_child=child.strip(), after=after)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("before", ["", HELD], ids=["idle", "in the middle of a send"])
def test_a_child_may_train_by_itself(gateway: Server, before: str) -> None:
    test = "with exporter.run('test') as test: test.record({'loss': 0.25})\nos._exit(0)"
    after = ("let_go.set()\n" if before else "") + "run.finish()"
    assert forked(gateway.address, test, before=before, after=after) == ""
    assert value(gateway, "gangplank_test_loss") == 0.25
    assert value(gateway, "gangplank_run_state", phase="test", state="finished") == 1
    assert value(gateway, "gangplank_run_state", phase="train", state="finished") == 1


@pytest.mark.parametrize(
    "does",
    [
        "run.record({'loss': 666}, epoch=666)",
        "for step in range(3): run.step({'loss': 666}, step=step, duration=0.1); time.sleep(0.6)",
        "run.finish(ValueError('of the child'))",
    ],
    ids=["record", "step", "finish"],
)
def test_the_run_is_the_parents(gateway: Server, does: str) -> None:
    forked(gateway.address, f"{does}\nos._exit(0)", before=HELD, after="let_go.set()\nrun.finish()")
    assert {sample.value for sample in samples(gateway.metrics(), "gangplank_train_loss")} == {0.5}
    assert value(gateway, "gangplank_run_epoch") == 1
    assert value(gateway, "gangplank_run_state", state="finished") == 1


def test_the_exit_of_a_child_ends_nothing_of_its_parents(gateway: Server) -> None:
    shows = """
import urllib.request
print(urllib.request.urlopen("http://{address}/metrics").read().decode(), file=sys.stderr)
run.finish()
"""
    exits = "import atexit\natexit._run_exitfuncs()\nos._exit(0)"
    said = forked(gateway.address, exits, after=shows.format(address=gateway.address))
    assert 'state="running"} 1' in said
    assert 'state="interrupted"} 0' in said


def test_the_exit_of_a_child_sends_nothing_that_its_parent_has_not_delivered() -> None:
    exits = "import atexit\natexit._run_exitfuncs()\nos._exit(0)"
    said = forked(f"127.0.0.1:{free_port()}", exits, before=f"run.finish()\n{HELD}", after="let_go.set()")
    assert said.count("did not arrive") == 1


def test_an_endpoint_that_a_child_closes_is_the_parents(gateway: Server) -> None:
    listens = """
endpoint = gangplank.Exporter("scrape://127.0.0.1:0", "digits")
endpoint.run("test").start()
while endpoint.addresses == ("scrape://127.0.0.1:0",): time.sleep(0.01)
"""
    shows = """
import urllib.request
shown = urllib.request.urlopen(endpoint.addresses[0].replace("scrape", "http") + "/metrics").read().decode()
assert "gangplank_run_state" in shown
run.finish()
"""
    forked(gateway.address, "endpoint.close()\nos._exit(0)", before=listens, after=shows)
