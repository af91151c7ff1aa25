"""Processes that a training process starts, each of which trains, and ends in one of many ways."""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.people import words
from gangplank import Exporter, Page, Run
from gangplank.core.delivery import outbox

# The heartbeat is shown, and failed pushes are repeated, after at most so many seconds, instead of a minute: so that
# the gateway can be checked often.
HEARTBEAT, LONGEST_BACKOFF = 1.0, 2.0
# Seconds that a child may take to end: much longer than all that it waits for.
PATIENCE = 40.0

# How a child ends its run and itself: its exit code, and the states in which that leaves the run.
ENDS: dict[str, tuple[int, tuple[str, ...]]] = {
    "with": (0, ("finished",)),
    "finish": (0, ("finished",)),
    "return": (0, ("failed",)),
    "raise": (1, ("failed",)),
    "exit": (3, ("interrupted", "failed")),  # from Python 3.13 on, nobody can tell any more
    "kill": (-signal.SIGKILL, ()),
}
RAW_ENDS = ("with", "finish", "kill")  # after os.fork: os._exit calls nothing
_KEPT: list[Run] = []


def hurry() -> None:
    """Shorten the heartbeat and the backoff in this process."""
    outbox.HEARTBEAT, outbox.LONGEST_BACKOFF = HEARTBEAT, LONGEST_BACKOFF


@dataclass(frozen=True)
class Order:
    """What a child is to do.

    Attributes:
        exporter: to train with.
        phase: of the run.
        ends: a key of `ENDS`.
        seed: of the child.
        file: where it writes what it says.
    """

    exporter: Exporter
    phase: str
    ends: str
    seed: str
    file: Path


def obey(order: Order) -> None:
    """Train as a child."""
    hurry()
    out = os.open(order.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123  where multiprocessing prints tracebacks

    def tell(**what: Any) -> None:
        os.write(out, (json.dumps(what) + "\n").encode())

    def note(page: Page, _: float, result: str) -> None:
        tell(sent=[words.loss_on(page), page.state, result, time.time()])

    words.Noted.note = staticmethod(note)
    report_faults(lambda fault: tell(fault=fault))
    draw = random.Random(order.seed)  # noqa: S311  not a secret
    run = order.exporter.run(order.phase)
    with run if order.ends == "with" else contextlib.nullcontext():
        run.start()
        tell(name=run.name)
        for _ in range(1000 if order.ends == "kill" else draw.randint(0, 5)):
            loss = round(draw.uniform(1e6, 2e6), 3)
            run.record({"loss": loss})
            tell(said=loss)
            time.sleep(draw.uniform(0.0, 0.1))
    _end(order.ends, run)


def _end(ends: str, run: Run) -> None:
    if ends == "finish":
        run.finish()
    elif ends in ("return", "raise", "exit"):
        _KEPT.append(run)
    if ends == "raise":
        raise ValueError("a child's training failed")
    if ends == "exit":
        sys.exit(3)


def report_faults(report: Callable[[str], None]) -> None:
    """Report what gangplank logs about faults of its own, and exceptions that nobody catches off the main thread."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if text.startswith("Exporting: ") or "pushing failed" in text:
                report(text)

    log = logging.getLogger("gangplank")
    log.handlers, log.propagate = [Handler()], False
    threading.excepthook = lambda error: report(f"in a thread: {error.exc_value!r}")
    sys.unraisablehook = lambda error: report(f"unraisable: {error.exc_value!r}")


@dataclass(frozen=True)
class Told:
    """What a child has told.

    Attributes:
        name: of its run, None if it has not started.
        loss: what it recorded last.
        sent: the attempts to send: loss, state, result (see `Words.note_sent`) and Unix time.
        faults: what went wrong.
    """

    name: str | None
    loss: float | None
    sent: list[tuple[float | None, str, str, float]]
    faults: list[str]

    @property
    def undisturbed(self) -> bool:
        """Whether each attempt has succeeded, so that no page is on its way."""
        results = [result for _, _, result, _ in self.sent]
        return results == ["begun", "arrived"] * (len(results) // 2)


def told(file: Path) -> Told:
    """Return what a child has told."""
    lines = file.read_text().splitlines() if file.exists() else []
    each = [json.loads(line) for line in lines if line.endswith("}")]
    return Told(
        name=next((one["name"] for one in each if "name" in one), None),
        loss=next((one["said"] for one in reversed(each) if "said" in one), None),
        sent=[tuple(one["sent"]) for one in each if "sent" in one],
        faults=[one["fault"] for one in each if "fault" in one],
    )


def faults(told: Told, ends: str, code: int | None) -> list[str]:
    """Return what is wrong with a child's end; without an exit code, it has not ended."""
    if code is None:
        return ["a child did not end"]
    if code == -signal.SIGKILL and ends == "kill":
        return told.faults
    expected, states = ENDS[ends]
    found = [*told.faults, *([] if code == expected else [f"the exit code is {code}"])]
    last = told.sent[-1][:2] if told.sent else None
    if told.undisturbed and last not in [(told.loss, state) for state in states]:
        found.append(f"the last page was {last}, and {told.loss} is the last loss: {told.sent}")
    return found


class Child:
    """A child that has been started.

    Args:
        order: what it is to do.
        how: `fork`, `spawn` or `raw`, which is os.fork.
    """

    def __init__(self, order: Order, how: str) -> None:
        self._process: Any = None
        self.code: int | None = None
        if how == "raw":
            self.pid = os.fork() or _obey_raw(order)
        else:
            self._process = multiprocessing.get_context(how).Process(target=obey, args=(order,))  # type: ignore[attr-defined]
            self._process.start()
            self.pid = self._process.pid

    def kill(self) -> None:
        """Kill it."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> None:
        """Wait for its end, and set its exit code. If it does not end, it is killed, and there is none."""
        end = time.monotonic() + PATIENCE
        while not self._has_ended() and time.monotonic() < end:
            time.sleep(0.01)
        if self.code is None:
            os.kill(self.pid, signal.SIGUSR1)  # faulthandler prints where it hangs
            time.sleep(0.5)
            self.kill()

    def _has_ended(self) -> bool:
        if self._process is not None:
            self.code = self._process.exitcode
        else:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code is not None


def _obey_raw(order: Order) -> NoReturn:
    """Train in this process, which is a fork, and leave it at once."""
    try:
        obey(order)
    finally:
        os._exit(0)
