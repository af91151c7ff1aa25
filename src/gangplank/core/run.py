"""One fit, evaluation, validation or prediction: the one door into the core."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from gangplank.core import process
from gangplank.core.errors import ExportError
from gangplank.core.exporting import Exporting
from gangplank.core.info import known_info
from gangplank.core.ledger import Ledger
from gangplank.core.naming import new_run_name
from gangplank.core.plugins import announce, ask_for_info
from gangplank.core.rank import rank_of_process
from gangplank.core.recorder import Recorder
from gangplank.core.settings import disabled
from gangplank.core.snapshot import Group, Outcome

# How often, and how many seconds apart, a training must seem to be over until it is believed.
_LOOKS, _BETWEEN_LOOKS = 3, 0.05


class Run(Exporting):
    """What an adapter drives, and what a plain training loop uses directly.

        with gangplank.Run("127.0.0.1:9091", "digits") as run:
            for epoch in run.epochs(20):
                run.record({"loss": train_one_epoch(net)}, weights=net)
            with run.phase("test") as test:
                test.record({"accuracy": evaluate(net)})

    Without the `with`, a framework that calls back calls `start`, `record` and `finish`. A run is real, and first
    pushed, when it starts (`epochs` and `record` see to it). Its methods return at once: a thread sends. None raises,
    unless `ignore_exceptions=False`.

    A copy has the same settings and no run. A pickle holds no password: the environment of the other process does.

    What it is made with is documented in `Exporting`, its base.
    """

    def _begin(self) -> None:
        self._ledger: Ledger | None = None
        self._silent = False  # disabled, or of several processes one that exports nothing
        self._epoch: int | None = None  # the one under way, inside `epochs`
        self._recorder = Recorder(self._settings, self._report)
        self._checking = threading.Lock()

    @property
    def group(self) -> Group:
        """The grouping key, once the run has started."""
        return self.ledger.group

    @property
    def name(self) -> str | None:
        """The `run` label, once the run has started; None where there is none."""
        return self.ledger.name

    @property
    def ledger(self) -> Ledger:
        """The newest value of everything; for the core's exporter."""
        if self._ledger is None:
            raise ExportError("the run has not started")
        return self._ledger

    @property
    def parameters(self) -> tuple[int, int] | None:
        """How many parameters are trainable, and how many are not, as recorded last."""
        return self._recorder.parameters

    @property
    def open(self) -> bool:
        """Whether the run has started, in this process, and has not ended."""
        return self._ledger is not None and self._ledger.running

    def start(
        self,
        *,
        epochs: int | None = None,
        epoch: int = 0,
        alive: Callable[[], bool] | None = None,
        rank: int | None = None,
    ) -> None:
        """Begin: from now on the destinations show that this run is running.

        Args:
            epochs: how many epochs the run is to end with, or None where nobody knows.
            epoch: how many epochs are completed already, in a run that resumes.
            alive: whether the training still goes on; asked with each heartbeat, off the training thread, and where it
                says no, the run has failed. For frameworks that say nothing when an exception ends them.
            rank: of this process among those of one training; `RANK` in the environment says it where it is left out.
                Above 0 the run stays silent, unless `per_rank`.
        """
        with self.guard("starting the run"):
            if self._ledger is not None or self._silent:
                return
            rank = rank_of_process() if rank is None else rank
            settings = self._settings
            self._silent = disabled() or (rank > 0 and not settings.per_rank)
            if self._silent:
                return
            name = new_run_name() if settings.name == "auto" else settings.name
            key = {"job": settings.job, "phase": self._phase, **settings.grouping_key}
            if name is not None and settings.concurrent:
                key["run"] = name
            if settings.per_rank:
                key["rank"] = str(rank)
            self._alive = alive
            self._ledger = Ledger(
                Group(tuple(key.items())),
                self._phase,
                name=name,
                report=self._report,
                info=known_info() | dict(settings.info),
                check=self._check,
                most_metrics=settings.most_metrics,
                epochs_planned=epochs,
                epoch=epoch if self._phase == "train" else None,
            )
            process.this.runs.add(self)
            announce("gangplank_run_started", self)
            ask_for_info(self, self._take_info)

    def epochs(self, total: int, *, first: int = 0) -> Iterator[int]:
        """Yield the indices of the epochs, from `first` to `total` - 1; counts and times them.

        `record` needs no `epoch=` inside; a run that resumes gives how many epochs are completed as `first`.
        """
        if first < total:
            self.start(epochs=total, epoch=first)
        try:
            for epoch in range(first, total):
                self._epoch = epoch
                self.begin_epoch()
                yield epoch
        finally:
            self._epoch = None

    def begin_epoch(self) -> None:
        """Time the epoch from here; without it, an epoch lasts from one `record` to the next, the first one unknown."""
        with self.guard("beginning the epoch"):
            self._recorder.begin_epoch()

    def record(
        self,
        metrics: Mapping[str, Any] | None = None,
        *,
        epoch: int | None = None,
        step: int | None = None,
        samples: float | None = None,
        seconds: float | None = None,
        learning_rates: Mapping[Any, Any] | float | None = None,
        parameters: tuple[int, int] | None = None,
        weights: Any = None,
    ) -> None:
        """Export what is known at the end of an epoch, or of an evaluation.

        Args:
            metrics: numbers by the framework's names; also 0-d arrays and scalars of any framework. What is no number
                is dropped, counted and reported once.
            epoch: the index of the epoch that has ended, from 0; inside `epochs` it is known; None outside of epochs.
            step: optimizer steps so far.
            samples: samples that the epoch has seen.
            seconds: the time that these took; the epoch's where it is left out.
            learning_rates: the one there is, or all by optimizer or parameter group; they replace those from before.
            parameters: how many parameters are trainable, and how many are not; a torch module or a Keras model given
                as `weights` knows.
            weights: a Keras model, a torch module, a tree of JAX arrays, NumPy arrays or torch tensors of any shapes
                and float dtypes, pairs of name and array, or an iterable of these. They are read before `record`
                returns, and only where a histogram is due.
        """
        with self.guard("recording"):
            self.start()
            if self._ledger is None:  # disabled, silent, or it could not start
                return
            if not self.open:
                raise ExportError("the run has ended, or belongs to another process: nothing more is recorded in it")
            epoch = self._epoch if epoch is None else epoch
            snapshot = self._recorder.snapshot(
                metrics,
                epoch=epoch,
                step=step,
                samples=samples,
                seconds=seconds,
                learning_rates=learning_rates,
                parameters=parameters,
                weights=weights,
            )
            announce("gangplank_snapshot", self, snapshot=snapshot)

    @property
    def exports_steps(self) -> bool:
        """Whether the metrics of steps are wanted."""
        return self._settings.update_every is not None

    def step(
        self,
        metrics: Mapping[str, Any] | None = None,
        *,
        step: int | None = None,
        duration: float | None = None,
        data_wait: float | None = None,
        forward: float | None = None,
        prefix: str = "batch_",
    ) -> None:
        """Note one step of the training; takes microseconds, and may be called from any thread and out of order.

        Args:
            metrics: numbers by the framework's names, as for `record`; read when they are pushed, so they may not
                change any more. Those that `update_freq` does not want are left alone.
            step: optimizer steps so far.
            duration: seconds that the step took.
            data_wait: seconds that it waited for its data.
            forward: seconds from its beginning to the backward pass.
            prefix: goes in front of the metrics' names, to tell them from an epoch's; "" only for names of their own.
        """
        try:
            if self._ledger is None and not self._silent:
                self.start()
            ledger = self._ledger
            if ledger is None or not ledger.running:
                return
            if self._recorder.steps.note(metrics, step, duration, data_wait, forward, prefix):
                announce("gangplank_snapshot", self, snapshot=self._recorder.step_snapshot())
        except Exception:  # a guard around each step would cost more than the step
            with self.guard("noting a step"):
                raise

    def finish(self, error: BaseException | None = None, *, weights: Any = None) -> None:
        """End the run, and wait up to `flush_timeout` for its last values to arrive.

        A run that never started, or that has ended, stays as it is.

        Args:
            error: what ended it early: the run shows as failed, or as interrupted (KeyboardInterrupt, SystemExit), and
                nothing is raised in place of it.
            weights: as for `record`; counted whatever `histogram_freq` says.
        """
        with self.guard("finishing the run", raises=error is None):
            if not self.open:
                return
            if weights is not None:
                self.record(weights=weights)
            if self._recorder.steps.unsaid:
                announce("gangplank_snapshot", self, snapshot=self._recorder.step_snapshot())
            self._recorder.report_missing(self._phase)
            process.this.runs.discard(self)
            announce("gangplank_run_finished", self, outcome=Outcome.of(error))

    def leave(self) -> None:
        """Leave the run to the process that it was started in; this one is forked from it."""
        self.ledger.running = False

    def __enter__(self) -> Self:
        # An evaluation begins here; a training with its first epoch, since there may be none left.
        if self._phase != "train":
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish(error)

    def _take_info(self, plugin: str, facts: object) -> None:
        """Add what a plugin knows to the info family; called on the plugins' thread."""
        with self.guard(f"taking the info of {plugin}", raises=False):
            if self.ledger.add_info(plugin, facts):
                self.destinations.wake(self.ledger)

    def _check(self) -> None:
        """Notice that the training has ended without saying so; one look may err, several do not."""
        if not self._checking.acquire(blocking=False):
            return  # another destination's thread looks
        try:
            for _ in range(_LOOKS):
                if self._alive is None or not self.open or self._alive():
                    return
                time.sleep(_BETWEEN_LOOKS)
            self.finish(RuntimeError("the training is over, and nobody said how it ended"))
        finally:
            self._checking.release()
