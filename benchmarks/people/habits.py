"""What people do, at random: each habit is a way to train that is not the one in the documentation."""

from __future__ import annotations

import contextlib
import copy
import pickle
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.people import children
from benchmarks.people.training import Training
from benchmarks.people.words import Group, Noted, Said, Words
from gangplank import Exporter

# Some jobs are trained by many at the same time; the newest run of the others is left alone for longer.
JOBS = tuple("aaaabbbcdefghijkl")
PHASES = ("train", "train", "test")
# Jobs that only children train, one after the other: a process knows nothing of the runs of another.
CHILDREN = tuple(f"child-{place}" for place in range(8))
# Runs that nothing ends may pile up to this number.
MOST_KEPT = 20
# How deep runs are nested, and how often an epoch has another training inside.
DEEPEST, NESTED = 2, 0.2

# What people do, and how often.
WEIGHTS = {
    "trains": 20,
    "catches": 10,
    "trains_without_with": 10,
    "forgets": 10,
    "forgets_in_a_cycle": 5,
    "keeps": 10,
    "returns_to_a_kept_run": 6,
    "is_broken_off": 4,
    "trains_in_threads": 4,
    "starts_a_child": 12,
}


def at_the_same_time(each: Iterable[Callable[[], None]]) -> None:
    """Call each of these on a thread of its own, and wait for all."""
    threads = [threading.Thread(target=one) for one in each]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Habits:
    """What the people of this process do; any thread may call `does_something`.

    Args:
        address: of the gateway.
        folder: for the files in which children tell what they did.

    Attributes:
        words: what all runs have said.
        done: how often each thing was done.
        faults: what went wrong.
        kept: runs that nothing has ended.
        unsure: groups of which a child was killed, or may have a page on its way.
    """

    def __init__(self, address: str, folder: Path) -> None:
        self.words = Words()
        self.done: Counter[str] = Counter()
        self.faults: list[str] = []
        self.kept: list[Training] = []
        self.unsure: set[Group] = set()
        self._address = address
        self._folder = folder
        self._numbers = count(1)
        self._exporters = [self.new_exporter(job) for job in JOBS]
        self._free = list(CHILDREN)
        self._lock = threading.Lock()  # held for moments, as no child would ever get it

    def new_exporter(self, job: str, **options: Any) -> Exporter:
        """Return an exporter whose pages are noted."""
        return Exporter(self._address, job, sink=Noted, update_freq="batch", push_interval=0.2, **options)

    def does_something(self, draw: random.Random, depth: int = 0, exporter: Exporter | None = None) -> None:
        """Do something at random, perhaps with the exporter of the training around it, of this depth."""
        [what] = draw.choices(list(WEIGHTS), list(WEIGHTS.values()))
        getattr(self, f"_{what}")(draw, depth, exporter or self._some_exporter(draw))
        self.done[what.replace("_", " ")] += 1

    def _some_exporter(self, draw: random.Random) -> Exporter:
        exporter, how = draw.choice(self._exporters), draw.choice(("as it is", "as it is", "new", "copied", "pickled"))
        if how == "new":
            job, wait, timeout = draw.choice(JOBS), draw.choice((0, 2)), draw.choice((1, 5))
            return self.new_exporter(job, flush_timeout=wait, timeout=timeout)
        if how == "copied":
            return draw.choice((copy.copy, copy.deepcopy))(exporter)
        if how == "pickled":
            restored: Exporter = pickle.loads(pickle.dumps(exporter))  # noqa: S301  our own
            return restored
        return exporter

    def _training(self, draw: random.Random, exporter: Exporter) -> Training:
        return Training(self.words, exporter, draw.choice(PHASES))

    def _epochs(self, training: Training, draw: random.Random, depth: int) -> None:
        for _ in range(draw.randint(0, 5)):
            for _ in range(draw.choice((0, 0, 3))):
                training.step()
            training.record()
            if depth < DEEPEST and draw.random() < NESTED:
                self.does_something(draw, depth + 1, draw.choice((training.exporter, None)))
            time.sleep(draw.uniform(0.0, 0.1))

    def _trains(self, draw: random.Random, depth: int, exporter: Exporter) -> None:
        with self._training(draw, exporter) as training:
            self._epochs(training, draw, depth)

    def _catches(self, draw: random.Random, depth: int, exporter: Exporter) -> None:
        error = draw.choice((ValueError, KeyboardInterrupt, SystemExit))
        with contextlib.suppress(error), self._training(draw, exporter) as training:
            self._epochs(training, draw, depth)
            raise error

    def _begun(self, draw: random.Random, depth: int, exporter: Exporter, **how: Any) -> Training:
        """Return a training without `with`, after some epochs."""
        training = self._training(draw, exporter).start(**how)
        self._epochs(training, draw, depth)
        return training

    def _trains_without_with(self, draw: random.Random, depth: int, exporter: Exporter) -> None:
        self._begun(draw, depth, exporter).finish()

    def _forgets(self, draw: random.Random, depth: int, exporter: Exporter) -> None:
        self._begun(draw, depth, exporter).forget()

    def _forgets_in_a_cycle(self, draw: random.Random, depth: int, exporter: Exporter) -> None:
        training = self._begun(draw, depth, exporter)
        vars(training.run)["itself"] = training.run  # only a garbage collection finds that
        training.forget()

    def _keeps(self, draw: random.Random, depth: int, exporter: Exporter) -> None:
        self._keep(draw, self._begun(draw, depth, exporter))

    def _keep(self, draw: random.Random, training: Training) -> None:
        with self._lock:
            self.kept.append(training)
            too_many = len(self.kept) > MOST_KEPT
        if too_many:
            self._take_kept(draw).forget()

    def _take_kept(self, draw: random.Random) -> Training:
        with self._lock:
            return self.kept.pop(draw.randrange(len(self.kept)))

    def _returns_to_a_kept_run(self, draw: random.Random, depth: int, exporter: Exporter) -> None:
        training = self._take_kept(draw) if self.kept else self._begun(draw, depth, exporter)
        then = draw.choice(("goes on", "finishes", "forgets"))
        if then == "goes on":
            self._epochs(training, draw, depth)
            self._keep(draw, training)
        elif then == "finishes":
            training.finish()
        else:
            training.forget()

    def _is_broken_off(self, draw: random.Random, depth: int, exporter: Exporter) -> None:
        """As in a framework that calls nothing after an exception: only the heartbeat can find out."""
        goes_on = threading.Event()
        goes_on.set()
        training = self._begun(draw, depth, exporter, alive=goes_on.is_set)
        goes_on.clear()
        end = time.monotonic() + children.PATIENCE
        while training.run.open and time.monotonic() < end:
            time.sleep(0.02)
        if training.run.open:
            self.faults.append(f"no heartbeat has found that this is over: {training.said}")
        training.said.state = "failed"
        self.words.note(training.said, time.monotonic(), surely=False)

    def _trains_in_threads(self, draw: random.Random, depth: int, exporter: Exporter) -> None:
        at_the_same_time(
            partial(draw.choice((self._trains, self._catches)), random.Random(draw.random()), depth, exporter)  # noqa: S311
            for _ in range(draw.randint(2, 3))
        )

    def _starts_a_child(self, draw: random.Random, *_around: object) -> None:
        how = draw.choices(("fork", "raw", "spawn"), (6, 3, 1))[0]
        ends = draw.choice([*(children.RAW_ENDS if how == "raw" else children.ENDS), "kill"])
        with self._own_job(draw) as job:
            # One that waits for the last page, and that others may be using at this moment.
            exporter = draw.choice(self._exporters) if job is None else self.new_exporter(job)
            group = exporter._settings.job, draw.choice(PHASES)  # noqa: SLF001
            file = self._folder / f"child-{next(self._numbers)}"
            began = time.monotonic()
            child = children.Child(children.Order(exporter, group[1], ends, str(draw.random()), file), how)
            if ends == "kill":
                time.sleep(draw.uniform(0.0, 0.5) + (1.0 if how == "spawn" else 0.0))
                child.kill()
            child.wait()
            told = children.told(file)
            file.unlink(missing_ok=True)
            self.faults += [f"{how}, {ends}: {fault}" for fault in children.faults(told, ends, child.code)]
            if job is None or ends == "kill" or not told.undisturbed:
                self.unsure.add(group)
            elif group not in self.unsure:
                loss, state, _, at = told.sent[-1]
                self.words.note(Said(group, told.name, told.loss, state, arrived=(loss, state, at)), began)
        self.done[f"{how}: {ends}"] += 1

    @contextlib.contextmanager
    def _own_job(self, draw: random.Random) -> Iterator[str | None]:
        """Enter with a job that no other process trains now; at times with None, for one that this process trains."""
        with self._lock:
            job = self._free.pop(0) if self._free and draw.random() < 0.6 else None  # noqa: PLR2004
        yield job
        if job is not None:
            self._free.append(job)
