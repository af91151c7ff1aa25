"""What one fit, or one validation, test or prediction outside of it, tells its run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gangplank import Run
from gangplank.lightning.logged import News, OnHost
from gangplank.lightning.optimizers import gradient_norm, named, rates_of
from gangplank.lightning.timing import Stopwatch


class _Epoch(NamedTuple):
    """An epoch that has ended, whose values Lightning is still computing."""

    epoch: int
    samples: int | None
    seconds: float


class Fit:
    """One fit, on a process that exports.

    Args:
        run: that it tells, which has started.
        trainer: that fits.
        weights: the module, or None where its weights may not be read.
        per_rank: time the batches' parts as well.
        norm: take the norm of each optimizer step's gradients, where the module may be read.
    """

    def __init__(self, run: Run, trainer: Any, weights: Any, *, per_rank: bool, norm: bool) -> None:
        self.weights = weights
        self._run = run
        self._trainer = trainer
        self._per_rank = per_rank
        self._norms_wanted = norm and weights is not None
        self._norms: dict[str, Any] = {}
        self._exports_steps = run.exports_steps
        self._rates = rates_of(trainer.optimizers)
        self._watch = Stopwatch()
        self._ended: _Epoch | None = None
        self._of_epoch, self._of_validation, self._of_step = News(), News(), News()

    def begin_epoch(self) -> None:
        """Record the epoch before, whose values are computed by now, and begin another."""
        self.record_epoch()
        self._run.begin_epoch()
        self._watch.begin()

    def begin_batch(self) -> None:
        """Note the step before, whose values are computed by now, and begin another."""
        self._note_step()
        self._watch.begin_batch()
        self._rates = rates_of(self._trainer.optimizers)

    def begin_backward(self) -> None:
        """The forward pass of a batch has ended."""
        self._watch.begin_backward()

    def begin_optimizer_step(self, optimizer: Any) -> None:
        """Take the norm of the gradients, which are complete."""
        if not self._norms_wanted:
            return
        optimizers = self._trainer.optimizers
        norm = gradient_norm(optimizer, getattr(self._trainer.precision_plugin, "scaler", None))
        if norm is not None:
            one_of = [one is optimizer for one in optimizers]
            name = f"gradient_norm_{one_of.index(True)}" if len(optimizers) > 1 else "gradient_norm"
            self._norms[name] = norm

    def end_batch(self, batch: Any) -> None:
        """The batch has been trained on; what it logged is computed after this."""
        self._watch.end_batch(batch, self._trainer.global_step)

    def begin_validation(self) -> None:
        """A validation begins inside the epoch, or at its end."""
        self._note_step()
        self._watch.pause()
        self._of_validation.of(self._trainer)

    def end_validation(self) -> None:
        """Record what it logged, at once where the epoch goes on: an epoch may be all there is."""
        self._watch.go_on()
        validated = self._of_validation.of(self._trainer)
        self._of_step.of(self._trainer)
        if not self._trainer.is_last_batch:
            self._record(validated, samples=self._watch.samples, seconds=self._watch.seconds)

    def end_epoch(self) -> None:
        """The epoch has ended; the module may log more, and Lightning computes it all after this."""
        self._note_step()
        self._ended = _Epoch(self._trainer.current_epoch, self._watch.samples, self._watch.seconds)

    def record_epoch(self) -> None:
        """Record the epoch that has ended, if one has and Lightning is done with it."""
        ended = self._ended
        if ended is None or self._trainer.current_epoch <= ended.epoch:
            return
        self._ended = None
        self._record(
            self._norms | self._of_epoch.of(self._trainer),
            epoch=ended.epoch,
            samples=ended.samples,
            seconds=ended.seconds,
            weights=self.weights,
        )
        self._of_step.of(self._trainer)

    def _record(self, metrics: Mapping[str, Any], **what: Any) -> None:
        trainer = self._trainer
        rates = named(self._rates, trainer.optimizers)
        self._run.record(OnHost(metrics), step=trainer.global_step, learning_rates=OnHost(rates), **what)

    def _note_step(self) -> None:
        step = self._watch.take_step()
        if step is None:
            return
        logged = self._of_step.of_step(self._trainer, self._norms) if self._exports_steps else None
        data_wait, forward = (step.data_wait, step.forward) if self._per_rank else (None, None)
        self._run.step(logged, step=step.step, duration=step.duration, data_wait=data_wait, forward=forward, prefix="")


class Evaluation:
    """One validation, test or prediction outside of a fit, on a process that exports; arguments as for `Fit`."""

    def __init__(self, run: Run, trainer: Any, weights: Any) -> None:
        self.weights = weights
        self.ended = False
        self._run = run
        self._trainer = trainer
        self._watch = Stopwatch()
        self._logged = News()

    def count(self, batch: Any) -> None:
        """Count a batch that has gone through the model."""
        self._watch.count(batch)

    def end(self) -> None:
        """Record what the module logged."""
        self._record(self._logged.of(self._trainer))

    def end_prediction(self) -> None:
        """Record how much went through the model."""
        counts = {"batches": self._watch.batches, "samples": self._watch.samples}
        self._record({name: count for name, count in counts.items() if count is not None})

    def _record(self, metrics: Mapping[str, Any]) -> None:
        self._run.record(
            OnHost(metrics), samples=self._watch.samples, seconds=self._watch.seconds, weights=self.weights
        )
        self.ended = True
