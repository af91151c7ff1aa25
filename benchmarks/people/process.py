"""The process in which people train, each on a thread, and which answers what its owner asks."""

from __future__ import annotations

import faulthandler
import gc
import random
import signal
import threading
import time
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.people import children
from benchmarks.people.habits import JOBS, Habits, at_the_same_time
from benchmarks.people.training import Training
from benchmarks.people.words import Expected, Group, Noted

PEOPLE = 4
# Seconds in which a gateway that is thawed works off what dead processes have sent to it.
SETTLING = 1.0


def live(owner: Connection, address: str, folder: str, seed: int) -> None:
    """Call the methods of `Process` that the owner sends, with their arguments, until it sends None."""
    faulthandler.register(signal.SIGUSR1, all_threads=True)  # for a child that hangs, too
    children.hurry()
    process = Process(Habits(address, Path(folder)), random.Random(seed))  # noqa: S311  not a secret
    while (request := owner.recv()) is not None:
        method, *arguments = request
        owner.send(getattr(process, method)(*arguments))


class Process:
    """Answers what the owner asks.

    Args:
        habits: of the people.
        draw: what is random.
    """

    def __init__(self, habits: Habits, draw: random.Random) -> None:
        self._habits = habits
        self._draw = draw
        Noted.note = staticmethod(habits.words.note_sent)
        children.report_faults(habits.faults.append)

    def train(self, seconds: float) -> None:
        """Let each of them do one thing after the other for some seconds."""
        until = time.monotonic() + seconds

        def person(draw: random.Random) -> None:
            while time.monotonic() < until:
                self._habits.does_something(draw)

        draws = [random.Random(self._draw.random()) for _ in range(PEOPLE)]  # noqa: S311  not a secret
        at_the_same_time(partial(person, draw) for draw in draws)

    def settle(self) -> dict[Group, list[Expected]]:
        """Begin a newer run in each group that is unsure, and return what the gateway may show of each group."""
        gc.collect()
        time.sleep(SETTLING)
        unsure = self._habits.unsure
        for job, phase in unsure:
            with Training(self._habits.words, self._habits.new_exporter(job), phase) as training:
                training.record()
        self._habits.done["newer run after a child"] += len(unsure)
        unsure.clear()
        return self._habits.words.expected()

    def figures(self) -> dict[str, Any]:
        """Return what is counted and measured."""
        gc.collect()
        resident = Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]
        return {
            "memory_mib": int(resident) / 1024,
            "threads": sorted(one.name for one in threading.enumerate() if one is not threading.main_thread()),
            "done": dict(self._habits.done),
            "attempts": dict(self._habits.words.attempts),
            "faults": self._habits.faults,
            "sent": list(self._habits.words.sent),
        }

    def forget_all(self) -> dict[Group, list[Expected]]:
        """Forget every run that is kept, and return what the gateway may show of each group."""
        while self._habits.kept:
            self._habits.kept.pop().forget()
        return self.settle()

    def leave(self) -> dict[Group, list[Expected]]:
        """Begin runs that only the end of this process ends, and return what the gateway may show after it."""
        for job in set(JOBS):
            training = Training(self._habits.words, self._habits.new_exporter(job), "train").start()
            training.record()
            training.said.state = "failed"
            self._habits.kept.append(training)
        return self._habits.words.expected()
