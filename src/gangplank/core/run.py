"""One fit, evaluation, validation or prediction: the entry into the core."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from gangplank.core.errors import ExportError
from gangplank.core.lifecycle import notice_fork
from gangplank.core.lifetime import Lifetime
from gangplank.core.log import Log
from gangplank.core.recording.numbers import whole
from gangplank.core.settings import Settings
from gangplank.core.types import Snapshot


class Run(Lifetime):
    """One fit, evaluation, validation or prediction, as an adapter or a plain loop reports it.

        exporter = gangplank.Exporter("127.0.0.1:9091", "digits")
        with exporter.run() as run:
            for epoch in run.epochs(20):
                run.record({"loss": train_one_epoch(net)}, weights=net)
        with exporter.run("test") as test:
            test.record({"accuracy": evaluate(net)})

    `Exporter.run` makes one. Without `with`, as in the callbacks of a framework, call `start`, `record` and `finish`. A
    run is first pushed when it starts (`epochs` and `record` start it). Its methods return at once, because another
    thread sends, and raise nothing, unless `ignore_exceptions=False`. A run that is deleted before anything has ended
    it has failed: keep it as long as the training lasts.

    Args:
        settings: of the exporter.
        log: of the exporter.
        hook: calls the hooks of the exporter's plugins.
        phase: `train`, `validate`, `test` or `predict`.
        is_due: returns whether a push of what the exporter keeps of this run, and that may wait, would be sent now.

    Raises:
        ConfigurationError: there is no such phase.
    """

    def __init__(self, settings: Settings, log: Log, hook: Any, phase: str, *, is_due: Callable[[Any], bool]) -> None:
        super().__init__(settings, log, hook, phase, is_due=is_due)
        self._epoch: int | None = None  # the current one, inside `epochs`

    @property
    def parameters(self) -> tuple[int, int] | None:
        """How many parameters are trainable, and how many are not, as recorded last."""
        return self._recorder.parameters

    @property
    def exports_steps(self) -> bool:
        """Whether the metrics of steps are wanted."""
        return self._settings.update_every is not None

    def epochs(self, total: int, *, first: int = 0) -> Iterator[int]:
        """Yield the indices of the epochs, from `first` to `total` - 1, and time them.

        Inside, `record` needs no `epoch=`. In a run that resumes, `first` is the number of completed epochs.
        """
        if first < total:
            self.start(epochs=total, epoch=first)
        try:
            for epoch in range(first, total):
                self._epoch = epoch
                if not self.exports_steps:
                    with self.guard("ending the startup"):
                        self.activities.end_startup()
                self.begin_epoch()
                yield epoch
        finally:
            self._epoch = None

    def begin_epoch(self) -> None:
        """Time the epoch from here. Without this, an epoch lasts from one `record` to the next."""
        with self.guard("beginning the epoch"):
            self._recorder.begin_epoch()

    def begin_activity(self, name: str) -> None:
        """Count the time of the run as this activity from now on, until another one begins.

        To be called on the thread that has started the run: what other threads do is not where its time goes.
        A run begins with `startup`. Its first `step` or `record` begins `train`; unless steps are exported
        (`update_freq`), so does the first epoch of `epochs`.

        Args:
            name: `startup`, `train`, `data_wait`, `validate`, `checkpoint` or `other`.
        """
        try:
            self.activities.begin(name)
        except Exception:  # a guard around each of them would cost more than what it guards
            with self.guard("beginning an activity"):
                raise

    @contextmanager
    def activity(self, name: str) -> Iterator[None]:
        """Count the time of a block as this activity, and then that of the one before again.

            with run.activity("validate"):
                accuracy = evaluate(net)

        Args:
            name: as for `begin_activity`.
        """
        before = name
        with self.guard("beginning an activity"):
            before = self.activities.current
            self.activities.begin(name)
        try:
            yield
        finally:
            with self.guard("resuming an activity"):
                self.activities.resume(before)

    def checkpoint(self, step: int | None = None) -> None:
        """Note that a checkpoint has been saved; it is pushed at the push interval.

        Args:
            step: that it goes on from; by default the newest one that is known.
        """
        with self.guard("noting a checkpoint"):
            if self._open:
                known = self.planned.step if self._recorder.step is None else self._recorder.step
                saved = known if step is None else self._log.read("step", step, whole)
                self._hook.gangplank_snapshot(
                    run=self, snapshot=Snapshot(checkpoint=(time.time(), saved), of_steps=True)
                )

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
        computed: Mapping[str, Any] | None = None,
    ) -> None:
        """Export the results of an epoch, of a step or of an evaluation.

        Those of a step (with `step`, outside of epochs) are pushed at the push interval, all others at once.

        Args:
            metrics: numbers by the framework's names: Python numbers, 0-d arrays, and scalars of any framework. A value
                that is not a number is dropped, counted and reported once.
            epoch: the index of the epoch that has ended, from 0; None outside of epochs. Inside `epochs` it is known.
            step: optimizer steps so far.
            samples: the number of samples in the epoch.
            seconds: the time that these samples took; by default the duration of the epoch.
            learning_rates: one rate, or rates by optimizer or parameter group; they replace all earlier ones.
            parameters: how many parameters are trainable, and how many are not. They are known if `weights` is a torch
                module or a Keras model.
            weights: a Keras model, a torch module, a tree of JAX arrays, NumPy arrays or torch tensors of any shapes
                and float dtypes, pairs of name and array, or an iterable of these. They are read before `record`
                returns, and only if a histogram is due.
            computed: for adapters: metrics that the adapter computes, such as a gradient norm. One of the framework's
                metrics that has the same name is exported beside it, under another name.
        """
        with self.guard("recording"):
            if not self._open:
                self.start()
            if self._silent or self._group is None:  # or it could not start
                return
            if not self._open:
                raise ExportError("nothing more can be recorded: the run has ended, or belongs to another process")
            snapshot = self._recorder.snapshot(
                metrics,
                epoch=self._epoch if epoch is None else epoch,
                step=step,
                samples=samples,
                seconds=seconds,
                learning_rates=learning_rates,
                parameters=parameters,
                weights=weights,
                computed=computed,
            )
            self.activities.end_startup()
            self._hook.gangplank_snapshot(run=self, snapshot=snapshot)

    def step(
        self,
        metrics: Mapping[str, Any] | None = None,
        *,
        step: int | None = None,
        duration: float | None = None,
        data_wait: float | None = None,
        forward: float | None = None,
        prefix: str = "batch_",
        computed: Mapping[str, Any] | None = None,
    ) -> None:
        """Note one training step. Takes microseconds; may be called from any thread, and out of order.

        Args:
            metrics: numbers by the framework's names, as for `record`. They are read when they are pushed, so they must
                not change after this call. Only those of the steps that `update_freq` selects are read.
            step: optimizer steps so far.
            duration: seconds that the step took.
            data_wait: seconds that it waited for its data.
            forward: seconds from its beginning to its backward pass.
            prefix: of the metrics' names, which keeps them apart from those of epochs. Use "" only if no metric of an
                epoch has the same name.
            computed: as for `record`; they have no prefix, and are read only if `metrics` are given.
        """
        try:
            if not self._open and not self._silent:
                self.start()  # or wait until another thread has
            due = self._open and self._recorder.steps.note(
                metrics, step, duration, data_wait, forward, prefix, computed=computed
            )
            if due and not notice_fork():
                self.activities.end_startup()
                self._record_steps()
        except Exception:  # entering a guard for each step would take longer than noting the step
            with self.guard("noting a step"):
                raise

    def finish(self, error: BaseException | None = None, *, weights: Any = None) -> None:
        """End the run, and wait up to `flush_timeout` for its last values to arrive.

        Does nothing if the run has not started, or has ended.

        Args:
            error: the exception that ended it: the run is shown as failed, or as interrupted (KeyboardInterrupt,
                SystemExit), and no exporting problem is raised.
            weights: as for `record`; counted whatever `histogram_freq` says.
        """
        with self.guard("finishing the run", raises=error is None):
            if not self._open:
                return
            try:
                if weights is not None:
                    self.record(weights=weights)
            finally:
                self._end(error)

    def __enter__(self) -> Self:
        self.watched = True
        # An evaluation starts here; a training starts with its first epoch, because there may be none left.
        if self.phase != "train":
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish(error)
