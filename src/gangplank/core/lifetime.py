"""When a run begins, and how it ends, whoever finds out."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

from gangplank.core.ending import NothingEndedIt, what_ends
from gangplank.core.environment import disabled, rank_of_process
from gangplank.core.errors import ExportError
from gangplank.core.labels import check_phase, new_run_name
from gangplank.core.lifecycle import notice_fork, process
from gangplank.core.log import Log
from gangplank.core.recording.activities import Activities
from gangplank.core.recording.numbers import whole
from gangplank.core.recording.recorder import Recorder
from gangplank.core.settings import Settings
from gangplank.core.types import Group, Outcome, Snapshot

# A run is lost if this many checks, so many seconds apart, all find that the training is over.
_CHECKS, _CHECK_INTERVAL = 3, 0.05


class Lifetime:
    """What a `Run` is apart from what it records: its group and name, its beginning and its end. Arguments as there.

    Attributes:
        activities: where its time goes, from its beginning on.
        planned: the planned epochs and steps, and those completed before it.
        watched: whether its end is noticed: otherwise it may be over although it is open.
        lost: whether it was found to be over, and nothing had ended it.
        kept: by the exporter, while the run is open: here, so that it lives as long as the run.
    """

    def __init__(self, settings: Settings, log: Log, hook: Any, phase: str, *, is_due: Callable[[Any], bool]) -> None:
        self.phase = check_phase(phase)
        self._settings = settings
        self._log = log
        self._hook = hook
        self._recorder = Recorder(settings, log)
        self.activities = Activities()
        self._is_due = is_due
        self._group: Group | None = None
        self._name: str | None = None
        self._open = False
        # Any thread may note the first step, and end the run. Re-entrant: so may a signal handler.
        self._starting, self._closing = threading.RLock(), threading.RLock()
        self._recording_steps = threading.RLock()  # so that no older snapshot of them follows a newer one
        self._silent = False  # exports nothing: it is disabled, or its rank is above 0
        self._rank = 0
        self._thread = 0  # that of the training
        self._alive: Callable[[], bool] | None = None
        self.watched = False
        self.lost = False
        self.planned = Snapshot()
        self.kept: Any = None

    @property
    def group(self) -> Group:
        """The grouping key, once the run has started."""
        if self._group is None:
            raise ExportError("the run has not started")
        return self._group

    @property
    def name(self) -> str | None:
        """The `run` label, once the run has started; None if there is none."""
        if self._group is None:
            raise ExportError("the run has not started")
        return self._name

    @property
    def open(self) -> bool:
        """Whether the run has started, in this process, and has not ended."""
        return self._open

    def guard(self, what: str, *, raises: bool = True) -> AbstractContextManager[None]:
        """Return a context that keeps an exporting problem away from the training; adapters work inside it.

        Args:
            what: what is done inside, for the log, such as "reading the model".
            raises: False logs in any case.

        Raises:
            ExportError: a problem, with `ignore_exceptions=False`.
        """
        notice_fork()
        return self._log.guard(what, raises=raises)

    def start(
        self,
        *,
        epochs: int | None = None,
        epoch: int | None = 0,
        steps: int | None = None,
        step: int | None = None,
        alive: Callable[[], bool] | None = None,
        rank: int | None = None,
    ) -> None:
        """Start the run: from now on the destinations show that it is running.

        Called again, or after `record`, it fills in what was not known, and changes the plan; only the rank cannot
        change any more.

        Args:
            epochs: the planned number of epochs, those before a resume included; None if it is unknown.
            epoch: the number of epochs that were completed before, in a run that resumes; None if there are none.
            steps: the planned number of optimizer steps, those before a resume included; None if it is unknown.
            step: the number of optimizer steps that were completed before, in a run that resumes; by default 0 if
                `steps` is given.
            alive: returns whether the training still goes on, such as what `gangplank.watch_caller` returns. It is
                called with each heartbeat, off the training thread; if it returns False, the run is over: interrupted
                if the training thread handles a KeyboardInterrupt or SystemExit, failed otherwise. For frameworks that
                call no hook after an exception.
            rank: of this process, if several processes train together; by default that in an initialised process group
                of torch or JAX, or what the launcher set (torchrun, MPI, Slurm, ...). Above 0, the run exports nothing,
                unless `per_rank`.
        """
        with self.guard("starting the run"), self._starting:
            if self._silent and rank is None:
                return
            rank = self._log.read("rank", rank, whole)
            steps = self._log.read("steps", steps, whole)
            step = 0 if step is None and steps is not None else self._log.read("step", step, whole)
            planned = Snapshot(
                epochs_planned=self._log.read("epochs", epochs, whole),
                epoch=self._log.read("epoch", epoch, whole) if self.phase == "train" else None,
                steps_planned=steps,
                resumed_from_step=step,
                step=step,
            )
            if self._group is not None:
                if self._open:
                    self._fill_in(planned, alive, rank)
                return
            self._rank = rank = rank_of_process() if rank is None else rank
            settings = self._settings
            self._silent = disabled() or (rank > 0 and not settings.per_rank)
            if self._silent:
                return
            with self.guard("ending runs that are over", raises=False):
                for other in list(process.runs):
                    other.end_if_over()
            process.begin(self)
            self._name = new_run_name() if settings.name == "auto" else settings.name
            key = {"job": settings.job, "phase": self.phase, **settings.grouping_key}
            if self._name is not None and settings.concurrent:
                key["run"] = self._name
            if settings.per_rank:
                key["rank"] = str(rank)
            self._group = Group(tuple(key.items()))
            self._thread = threading.get_ident()
            self._alive = alive
            self.watched = self.watched or alive is not None
            self.planned = planned
            self.activities.restart()
            self._open = True
            self._hook.gangplank_run_started(run=self)
            self._recorder.steps.is_due = partial(self._is_due, self.kept)  # not of `self`, which it would keep alive

    def _fill_in(self, learnt: Snapshot, alive: Callable[[], bool] | None, rank: int | None) -> None:
        """Take what is learnt only after the run has started."""
        if rank not in (None, self._rank):
            if rank and not self._settings.per_rank:
                self._silent = True
                self._close()
            raise ExportError(f"rank={rank} is too late, as the run has started as rank {self._rank}: give it first")
        if alive is not None:
            self._alive, self.watched = alive, True
        before, recorded = self.planned, self._recorder
        resumed = before.resumed_from_step  # 0 may only mean that nothing is known yet, until something is recorded
        moved = recorded.step is not None or recorded.epoch is not None
        filled_in = replace(
            learnt,
            epoch=None if before.epoch or recorded.epoch is not None else learnt.epoch or None,
            resumed_from_step=None if resumed or (resumed == 0 and moved) else learnt.resumed_from_step,
            step=None if before.step or recorded.step is not None else learnt.step,
        )
        planned = before.updated(filled_in)
        if planned != self.planned:
            self.planned = planned
            self._hook.gangplank_snapshot(run=self, snapshot=filled_in)

    def _end(self, error: BaseException | None) -> None:
        """End the run, even if its last values cannot be exported."""
        if self._close():
            try:
                self._record_last_steps()
            finally:
                self._hook.gangplank_run_finished(run=self, outcome=Outcome.of(error))

    def end_if_over(self) -> None:
        """End the run if its training was on this thread, and is over: another one begins."""
        with self.guard("ending a run that is over", raises=False):
            if self._open and self._thread == threading.get_ident() and self._alive is not None and not self._alive():
                self._end(sys.exception() or NothingEndedIt())

    def end_if_lost(self) -> None:
        """End the run if the training is over although nothing has ended it.

        Called off the training thread, before a heartbeat. A single check may be wrong, so it takes several.
        """
        with self.guard("checking whether the training goes on", raises=False):
            for _ in range(_CHECKS):
                if self._alive is None or not self._open or self._alive():
                    return
                time.sleep(_CHECK_INTERVAL)
            self.lose(what_ends(self._thread))

    def __del__(self) -> None:
        """End the run if nothing has: nobody can any more."""
        if getattr(self, "_open", False):
            with self.guard("ending a run that is deleted", raises=False):
                self.lose(what_ends())

    def lose(self, error: BaseException) -> None:
        """End the run with this error because it is over, although nothing has ended it; does not wait."""
        if self._close():
            self.lost = True
            with self.guard("recording the last steps", raises=False):
                self._record_last_steps()
            self._hook.gangplank_run_finished(run=self, outcome=Outcome.of(error))
            if isinstance(error, NothingEndedIt):
                message = "The run of %s is over, and nothing has ended it, so it counts as failed"
                self._log.warn_throttled("lost", message, self.group)

    def detach(self) -> None:
        """Leave the run to the parent process, in a forked child, which has none of the threads that hold locks."""
        self._open = False
        self._starting, self._recording_steps = threading.RLock(), threading.RLock()
        self.activities = Activities()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a run can be neither copied nor pickled: copy its Exporter, and make a run of the copy")

    def _close(self) -> bool:
        """Record nothing from now on; return whether the run was open."""
        with self._closing:
            was_open, self._open = self._open, False
        process.runs.discard(self)
        return was_open

    def _record_steps(self) -> None:
        with self._recording_steps:
            self._hook.gangplank_snapshot(run=self, snapshot=self._recorder.step_snapshot())

    def _record_last_steps(self) -> None:
        if self._recorder.steps.unrecorded:
            self._record_steps()
        self._recorder.report_missing(self.phase)
