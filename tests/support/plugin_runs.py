"""Runs in processes that have plugins installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.reading import value
from support.servers import Server
from support.strangers import environment

TRAINS = """
import logging, sys, time
logging.basicConfig(format="%(message)s", level=logging.WARNING)
import gangplank
took = []
for _ in range(2):
    with gangplank.run("{address}", "digits", ignore_exceptions={ignore}) as run:
        for epoch in range(20):
            start = time.perf_counter()
            run.record({{"loss": 0.5}}, epoch=epoch)
            took.append(time.perf_counter() - start)
print(sum(took))
left = time.monotonic()
import atexit
"""
# One run with what a test asks for; what the core has to say is on stderr, an error's text on stdout.
RUNS = """
import logging
logging.basicConfig(format="%(message)s", level=logging.WARNING)
import gangplank
try:
    with gangplank.run({address!r}, "digits", **{options!r}) as run:
        run.record({{"loss": 0.5}}, epoch=0)
except gangplank.GangplankError as error:
    print(type(error).__name__, error, sep=": ")
"""


def run_one(
    folder: Path, address: str, *, options: object = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run one epoch in a process that finds the plugins in a folder."""
    code = RUNS.format(address=address, options=options or {})
    return python(folder, code, **variables)


def python(folder: Path, code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment(folder, **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def trained(gateway: Server, folder: Path, *, ignore: bool = True) -> subprocess.CompletedProcess[str]:
    code = TRAINS.format(address=gateway.address, ignore=ignore)
    done = python(folder, code)
    assert value(gateway, "gangplank_run_state", state="finished") == 1
    assert value(gateway, "gangplank_run_epoch") == 20
    return done
