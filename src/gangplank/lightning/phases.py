"""What one fit, or one validation, test or prediction outside of a fit, reports to its run."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gangplank import Run
from gangplank._torch.gradients import gradient_norm
from gangplank._torch.scalars import HostScalars
from gangplank.lightning.batches import Samples
from gangplank.lightning.checkpoints import Checkpoints
from gangplank.lightning.learning_rates import named, rates_of
from gangplank.lightning.logged import NewMetrics, logged_by
from gangplank.lightning.timing import Stopwatch


class _Epoch(NamedTuple):
    """An epoch that has ended, while Lightning is still computing its metrics."""

    epoch: int
    samples: int | None
    seconds: float


def _weakly(weights: Any) -> Callable[[], Any]:
    return (lambda: None) if weights is None else weakref.ref(weights)


class Fit:
    """One fit, in a process that exports. It keeps neither the trainer nor the module alive.

    Args:
        run: of the fit, which has started.
        trainer: of the fit.
        weights: the module, or None if its weights must not be read.
        per_rank: report how long each step waited for data and took forward.
        norm: compute the norm of each optimizer step's gradients, unless `weights` is None.
    """

    def __init__(self, run: Run, trainer: Any, weights: Any, *, per_rank: bool, norm: bool) -> None:
        self.run = run
        self.weights = _weakly(weights)
        self._trainer = weakref.proxy(trainer)
        self._per_rank = per_rank
        self._norms_wanted = norm and weights is not None
        self._norms: dict[str, Any] = {}
        self._exports_steps = run.exports_steps
        self._rates = rates_of(trainer.optimizers)
        self._watch = Stopwatch(run.begin_activity)
        self._checkpoints = Checkpoints(trainer)
        self._samples = Samples()  # of the current epoch
        self._ended: _Epoch | None = None
        self._of_epoch, self._of_validation, self._of_step = NewMetrics(), NewMetrics(), NewMetrics()

    def begin_epoch(self) -> None:
        """Record the epoch before, whose metrics have been computed by now, and begin another."""
        self.record_epoch()
        self.run.begin_epoch()
        self._watch.begin_epoch()
        self._samples = Samples()

    def begin_batch(self) -> None:
        """Report the step before, whose metrics have been computed by now, and begin another."""
        self._report_step()
        self._note_checkpoints()
        self._watch.begin_step()
        self._rates = rates_of(self._trainer.optimizers)

    def begin_backward(self) -> None:
        """Note that the forward pass of a batch has ended."""
        self._watch.begin_backward()

    def begin_optimizer_step(self, optimizer: Any) -> None:
        """Compute the norm of the gradients, which are complete."""
        if not self._norms_wanted:
            return
        optimizers = self._trainer.optimizers
        norm = gradient_norm(optimizer, getattr(self._trainer.precision_plugin, "scaler", None))
        if norm is not None:
            one_of = [one is optimizer for one in optimizers]
            name = f"gradient_norm_{one_of.index(True)}" if len(optimizers) > 1 else "gradient_norm"
            self._norms[name] = norm

    def end_batch(self, batch: Any) -> None:
        """Note that the batch has ended; Lightning computes its metrics after this."""
        if self._watch.end_step(self._trainer.global_step):
            self._samples.count(batch)

    def begin_validation(self) -> None:
        """Note that a validation begins, inside the epoch or at its end."""
        self._watch.begin_validation()
        self._report_step()
        self._note_checkpoints()
        self._of_validation.of(self._trainer)

    def end_validation(self) -> None:
        """Record its metrics: now if the epoch continues, since it may be the only epoch; otherwise with the epoch."""
        goes_on = not self._trainer.is_last_batch
        self._watch.end_validation(goes_on=goes_on)
        self._note_checkpoints()
        validated = self._of_validation.of(self._trainer)
        self._of_step.of(self._trainer)
        if goes_on:
            self._record(validated, samples=self._samples.samples, seconds=self._watch.seconds)

    def end_epoch(self) -> None:
        """Note that the epoch has ended; the module may still log, and Lightning computes the metrics after this."""
        self._watch.begin_other()
        self._report_step()
        self._note_checkpoints()
        self._ended = _Epoch(self._trainer.current_epoch, self._samples.samples, self._watch.seconds)

    def begin_checkpoint(self, step: int) -> None:
        """Note that a checkpoint is being saved, which goes on from this step."""
        self._note_checkpoints()
        self._checkpoints.begin(step)
        self._watch.begin_checkpoint()

    def end_training(self) -> None:
        """Record the last epoch."""
        self._watch.begin_other()
        self.record_epoch()

    def end(self) -> None:
        """Note the last checkpoint, at the end of the fit."""
        self._watch.begin_other()
        self._note_checkpoints()

    def fail(self) -> None:
        """Record what is complete, when an exception has ended the fit."""
        self._note_checkpoints(failed=True)
        self.record_epoch()

    def record_epoch(self) -> None:
        """Record the epoch that has ended, if there is one and Lightning has completed it."""
        self._note_checkpoints()
        ended = self._ended
        if ended is None or self._trainer.current_epoch <= ended.epoch:
            return
        self._ended = None
        self._record(
            self._of_epoch.of(self._trainer),
            computed=HostScalars(dict(self._norms)),
            epoch=ended.epoch,
            samples=ended.samples,
            seconds=ended.seconds,
            weights=self.weights(),
        )
        self._of_step.of(self._trainer)

    def _record(self, metrics: Mapping[str, Any], **what: Any) -> None:
        trainer = self._trainer
        rates = named(self._rates, trainer.optimizers)
        self.run.record(HostScalars(metrics), step=trainer.global_step, learning_rates=HostScalars(rates), **what)

    def _note_checkpoints(self, *, failed: bool = False) -> None:
        step = self._checkpoints.saved(failed=failed)
        if step is not None:
            self.run.checkpoint(step)

    def _report_step(self) -> None:
        step = self._watch.take_step()
        if step is None:
            return
        logged = self._of_step.of_step(self._trainer) if self._exports_steps else None
        data_wait, forward = (step.data_wait, step.forward) if self._per_rank else (None, None)
        self.run.step(
            logged,
            step=step.step,
            duration=step.duration,
            data_wait=data_wait,
            forward=forward,
            prefix="",
            computed=HostScalars(dict(self._norms)) if self._norms else None,
        )


class Evaluation:
    """One validation, test or prediction outside of a fit, in a process that exports; arguments as for `Fit`."""

    def __init__(self, run: Run, trainer: Any, weights: Any) -> None:
        self.ended = False
        self.run = run
        self._trainer = weakref.proxy(trainer)
        self._weights = _weakly(weights)
        self._began = time.monotonic()
        self._samples = Samples()

    def count(self, batch: Any) -> None:
        """Count a batch that has been evaluated."""
        self._samples.count(batch)

    def end(self) -> None:
        """Record what the module logged, or how much it predicted."""
        counted, seconds = self._samples, time.monotonic() - self._began
        if self.run.phase == "predict":
            counts = {"batches": counted.batches, "samples": counted.samples}
            metrics = {name: count for name, count in counts.items() if count is not None}
        else:
            metrics = logged_by(self._trainer)
        self.run.record(HostScalars(metrics), samples=counted.samples, seconds=seconds, weights=self._weights())
        self.ended = True
