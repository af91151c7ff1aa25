"""Which call of a Trainer a callback is in: it gets no object for that, so it is looked for on the stack."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from transformers import Trainer


@dataclass
class Caller:
    """The calls of one Trainer that a callback is in.

    Attributes:
        trainer: the Trainer.
        training: an object that lives as long as its call of `train`; None outside of one.
        method: `train`, `evaluate` or `predict`: the innermost call.
        prefixes: the `metric_key_prefix` of the evaluations or predictions inside the training, the innermost first.
        sets: how many data sets the outermost of them evaluates, as far as is known.
        override: identifies a method `evaluate` or `predict` of a derived class around Transformers' own; None without.
        loop: an object that lives as long as the evaluation of one data set; None outside of one.
        is_pruned: whether a hyperparameter search prunes the trial, and will raise for that.
    """

    trainer: Trainer
    method: str
    training: Any = None
    prefixes: list[str] = field(default_factory=list)
    sets: int = 1
    override: int | None = None
    loop: Any = None
    is_pruned: bool = False

    @property
    def prefix(self) -> str:
        """What is in front of the metrics' names, apart from the name of a data set."""
        inner, outer = self.prefixes[0], self.prefixes[-1]
        return outer if inner.startswith(outer) else inner

    @property
    def phase(self) -> str:
        """The phase of an evaluation or a prediction outside of a training."""
        if self.method == "predict":
            return "predict"
        return "test" if self.prefix.startswith("test") else "validate"


def find_caller() -> Caller | None:
    """Return the calls that the current callback is in; None outside of all."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  there is no other way to find the caller
    found: Caller | None = None
    is_pruned, loop = False, None
    while frame is not None:
        method = frame.f_code.co_name
        # Python keeps what `f_locals` has returned as long as the frame lives, so only where it must be.
        if method == "_report_to_hp_search":
            is_pruned = True
        elif method == "evaluation_loop" and found is None:
            loop = frame.f_locals.get("all_losses")
        elif method in ("train", "evaluate", "predict") and frame.f_code.co_varnames[:1] == ("self",):
            local = frame.f_locals
            trainer = local.get("self")
            if found is None and isinstance(trainer, Trainer):
                found = Caller(trainer, method, loop=loop, is_pruned=is_pruned)
            if found is not None and trainer is found.trainer and _is_in_training(found, frame, local):
                return found
        frame = frame.f_back
    return found


def _is_in_training(found: Caller, frame: FrameType, local: dict[str, Any]) -> bool:
    """Add what one frame of a Trainer's methods shows; return whether it is that of a training."""
    is_own = f"{frame.f_globals.get('__name__')}".startswith("transformers.")
    if frame.f_code.co_name == "train":  # of a derived class, it may evaluate before and after it trains
        found.training = local.get("inner_training_loop", found.trainer if is_own else None)
        return found.training is not None
    default = "test" if found.method == "predict" else "eval"
    found.prefixes.append(local.get("metric_key_prefix", default))
    sets = local.get("eval_dataset")
    found.sets = len(sets) if isinstance(sets, dict) else found.sets
    found.override = found.override if is_own else id(frame)
    return False
