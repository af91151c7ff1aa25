"""How many optimizer steps a fit will make."""

from __future__ import annotations

import math
from typing import Any


def planned_steps(trainer: Any) -> int | None:
    """Return the planned optimizer steps of a fit that begins, those before a resume included; None if unknown.

    `trainer.estimated_stepping_batches` takes it that the epochs before a resume had as many steps as those to come.

    Args:
        trainer: whose training data is set up.
    """
    limits = [] if trainer.max_steps < 0 else [trainer.max_steps]
    of_epochs = _steps_of_epochs(trainer)
    if of_epochs is not None:
        limits.append(of_epochs)
    return min(limits, default=None)


def _steps_of_epochs(trainer: Any) -> int | None:
    epochs, batches = trainer.max_epochs, trainer.num_training_batches
    if epochs is None or epochs < 0 or math.isinf(batches):
        return None
    # With manual optimization, each step of each optimizer counts. A callback may change the accumulation by epoch.
    if not trainer.lightning_module.automatic_optimization or any(map(_schedules_accumulation, trainer.callbacks)):
        return None
    each, step, epoch = math.ceil(batches / trainer.accumulate_grad_batches), trainer.global_step, trainer.current_epoch
    into_epoch = step - epoch * each  # of a fit that resumes inside an epoch; else 0, unless earlier epochs differed
    before = step - into_epoch if 0 <= into_epoch <= each else step
    return int(before + (epochs - epoch) * each)


def _schedules_accumulation(callback: Any) -> bool:
    return any(kind.__name__ == "GradientAccumulationScheduler" for kind in type(callback).__mro__)
