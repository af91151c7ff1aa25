"""A run in a child process: what the child does, and what is shown of it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from support.reading import value
from support.servers import Server

# What a child does. Its run is kept in a global name, as long as the process lives, or only while it trains.
WORK = """
import multiprocessing, os, sys, time
import gangplank

KEPT = []

def work(keeps, then):
    run = gangplank.run({address!r}, "digits", run="child")
    run.start(epochs=9)
    if keeps:
        KEPT.append(run)
    for epoch in range(3):
        run.record({{"loss": 1.0 - epoch / 4}}, epoch=epoch)
    run.step({{"loss": 0.25}}, step=7)
    if then == "finish":
        run.finish()
    elif then == "raise":
        raise ValueError("mine")
    elif then == "exit":
        sys.exit(3)
    elif then == "Ctrl-C":
        raise KeyboardInterrupt

def as_rank(rank, then):
    work(True, then)

if __name__ == "__main__":
"""


def run_in_a_child(gateway: Server, folder: Path, starts: str, *arguments: str, **how: object) -> None:
    """Run a script that has the function `work`.

    Args:
        gateway: that the child pushes to.
        folder: for the script.
        starts: how the script starts the child, a format for `how`.
        arguments: of the script.
        how: in `starts`.
    """
    script = folder / "trains.py"
    starts = textwrap.indent(textwrap.dedent(starts.format(**how)), "    ")
    script.write_text(WORK.format(address=gateway.address) + starts)
    done = subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def assert_shown(gateway: Server, state: str) -> None:
    """Check that the last values of the child's run have arrived, and how it ended."""
    assert value(gateway, "gangplank_run_state", state=state) == 1
    assert value(gateway, "gangplank_train_loss") == 0.5
    assert value(gateway, "gangplank_run_epoch") == 3
    assert value(gateway, "gangplank_run_step") == 7
