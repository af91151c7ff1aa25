"""The end of a process whose gateway fails."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time

import pytest

from support import proxy as proxies
from support.proxy import Proxy
from support.reading import value
from support.servers import UNRESOLVED, Server, free_port

# Row 6: the end of the process

SCRIPT = """
import socket, time, threading
import gangplank
{first}
exporter = gangplank.Exporter("{address}", "digits")
run = exporter.run()
run.record({{"loss": 0.5}}, epoch=0)
{then}
print(time.monotonic(), flush=True)
"""


def seconds_to_exit(address: str, *, first: str = "", then: str = "") -> float:
    """Run a script, and return how long its process lived after its last line."""
    code = SCRIPT.format(address=address, first=textwrap.dedent(first), then=textwrap.dedent(then))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    end = time.monotonic()
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return end - float(done.stdout)


ENDS = pytest.mark.parametrize("then", ["", "run.finish()", "run.finish(); run = exporter.run('test'); run.record()"])


@ENDS
def test_a_process_that_ends_leaves_its_last_value(gateway: Server, then: str) -> None:
    then = f"run.record({{'loss': 0.25}}, epoch=1)\n{then}"
    assert seconds_to_exit(gateway.address, then=then) < 0.5
    assert value(gateway, "gangplank_train_loss", phase="train") == 0.25
    assert value(gateway, "gangplank_run_state", phase="train", state="running") == 0


@ENDS
def test_a_process_ends_at_once_where_the_gateway_is_down(then: str) -> None:
    assert seconds_to_exit(f"127.0.0.1:{free_port()}", then=then) < 0.5


@ENDS
def test_a_process_ends_soon_where_the_gateway_hangs(gateway: Server, then: str) -> None:
    gateway.freeze()
    assert seconds_to_exit(gateway.address, then=then) < 2.5


def test_several_exporters_are_waited_for_together(gateway: Server) -> None:
    gateway.freeze()
    then = f"""
        others = [gangplank.Exporter("{gateway.address}", f"job {{index}}") for index in range(4)]
        for other in others:
            other.run().record({{"loss": 0.5}}, epoch=0)
            other.run("test").record({{"loss": 0.5}})
    """
    assert seconds_to_exit(gateway.address, then=then) < 2.5


def test_a_process_ends_soon_where_a_name_is_never_resolved() -> None:
    first = "socket.getaddrinfo = lambda *_, **__: threading.Event().wait()"
    assert seconds_to_exit(f"{UNRESOLVED}:9091", first=first) < 2.5


def test_a_process_ends_soon_where_a_gateway_drips(proxy: Proxy) -> None:
    proxy.behaviour = proxies.drips
    assert seconds_to_exit(proxy.address) < 2.5
