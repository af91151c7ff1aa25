"""The runs of a large fleet: their pages, as the core makes them, at any time of their lives; and their pushes.

Each job trains once a day. Most of the newest runs are running; some have finished or failed, some are dead, and some
have a metric that is NaN.
"""

from __future__ import annotations

import contextlib
import http.client
import math
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import gangplank
from gangplank import Page
from gangplank.core.page.page import MetricValue
from gangplank.core.sinks.pushgateway import path_of
from gangplank.core.types import Group, Outcome, StepTimes
from gangplank.testing import MemorySink
from support.servers import Server

DAY = 86400
# How long a run takes, how long ago the newest ones began, and those that have ended did.
LASTS, BEGAN, ENDED = 20 * 3600, 10 * 3600, 1200
EPOCHS, STEPS = 90, 90_000
# Of a hundred runs, those that are not running well.
DEAD, FAILED, NAN, FINISHED = {0}, {1}, {2}, range(3, 10)


def template() -> Page:
    """Return the page of a real training: with losses, steps that are timed, an evaluation and a checkpoint."""
    memory = MemorySink()
    run = gangplank.run("memory", "template", sink=memory, ignore_exceptions=False, update_freq="batch", info={})
    with run:
        run.start(epochs=EPOCHS, steps=STEPS)
        for step in range(1, 11):
            run.step({"loss": 1.0}, step=step, duration=0.4, data_wait=0.02)
        with run.activity("validate"):
            metrics = {"loss": 1.0, "accuracy": 0.5, "val_loss": 1.1, "val_accuracy": 0.5}
        run.checkpoint()
        run.record(metrics, epoch=0, step=10, samples=320, learning_rates={"": 0.01}, parameters=(25_000_000, 53_120))
        return memory.pages[-1]


@dataclass(frozen=True)
class Job:
    """A job that trains once a day.

    Args:
        number: of the job.
        page: of any run, for what is the same in all.
        now: in Unix time.
    """

    number: int
    page: Page
    now: float

    @property
    def name(self) -> str:
        """Its name."""
        return f"job-{self.number:04}"

    @cached_property
    def _kind(self) -> int:
        return self.number % 100

    def began(self, days_ago: int = 0) -> float:
        """Return when the run of a day began."""
        return self.now - BEGAN - days_ago * DAY - 60 * self._kind

    def page_at(self, when: float, days_ago: int = 0) -> Page:
        """Return the page of the run of a day at a time."""
        began, state, ended = self.began(days_ago), "running", math.inf
        if days_ago:
            state, ended = Outcome.FINISHED, began + LASTS
        elif self._kind in DEAD:
            ended = self.now - ENDED
        elif self._kind in FAILED or self._kind in FINISHED:
            state = Outcome.FAILED if self._kind in FAILED else Outcome.FINISHED
            ended = self.now - ENDED
        then = min(when, ended)
        return self._at(began, then, "running" if when < ended else state)

    def _at(self, began: float, then: float, state: str) -> Page:
        """Return the page of a run that began at a time, with what is new until another."""
        done = (then - began) / LASTS
        step, loss = round(STEPS * done), 2.5 * math.exp(-4 * done) + 0.1 + self.number / 10_000
        losses = {"batch_loss": loss, "loss": loss, "accuracy": 1 - loss / 3, "val_loss": loss * 1.1, "val_accuracy": 0}
        if self._kind in NAN and then > self.now - ENDED:
            losses["loss"] = math.nan
        times = self.page.newest.step_times
        elapsed = then - began
        shares = {
            "startup": 0.01,
            "train": 0.84,
            "data_wait": 0.05,
            "validate": 0.06,
            "checkpoint": 0.03,
            "other": 0.01,
        }
        return replace(
            self.page,
            group=Group((("job", self.name), ("phase", "train"))),
            labels={"run": f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(began))}.000-{self.number:04x}"},
            info={**self.page.info, "host": f"gpu-{self.number // 4:03}", "owner": f"user-{self.number % 37}"},
            metrics={name: MetricValue(value, round(EPOCHS * done)) for name, value in losses.items()},
            newest=replace(
                self.page.newest,
                epoch=round(EPOCHS * done),
                step=step,
                checkpoint=(then - then % 600, step - step % 500),
                epoch_duration=LASTS / EPOCHS,
                samples_per_second=320.0 + self.number,
                step_times=times and _grown(times, step),
            ),
            started=began,
            last_update=then,
            heartbeat=then,
            succeeded=then if state == Outcome.FINISHED else None,
            activities={name: share * elapsed for name, share in shares.items()},
            elapsed=elapsed,
            state=state,
        )


def _grown(times: StepTimes, steps: int) -> StepTimes:
    """Return the times of this many steps, of which each bucket has as many as the others."""
    each = steps // len(times.counts)
    return replace(times, counts=(each,) * len(times.counts), seconds=0.4 * steps, data_wait=0.02 * steps)


def jobs(count: int, now: float) -> Iterator[Job]:
    """Yield this many jobs."""
    page = template()
    return (Job(number, page, now) for number in range(count))


def push(gateway: Server, job: Job) -> None:
    """Push the page of a job as it is now."""
    page = job.page_at(time.time())
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)) as connection:
        connection.request("PUT", path_of(page.group), page.text())
        answer = connection.getresponse()
        if answer.status not in (http.HTTPStatus.OK, http.HTTPStatus.ACCEPTED):
            raise SystemExit(f"the gateway answers {answer.status}: {answer.read()!r:.200}")


@contextlib.contextmanager
def going_on(gateway: Server, fleet: Sequence[Job]) -> Iterator[None]:
    """Have each run push its page once a minute, until the block ends."""
    over = threading.Event()

    def go_on() -> None:
        while True:
            for job in fleet:
                push(gateway, job)
                if over.wait(60 / len(fleet)):
                    return

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
