"""Which checkpoints have been saved."""

from __future__ import annotations

import weakref
from typing import Any


class Checkpoints:
    """Finds the checkpoints of a fit. It keeps no callback alive.

    Lightning calls a hook when it begins to save a checkpoint, but none when it has been written, and none at all if it
    has weights only. Its `ModelCheckpoint` notes the step of the newest one that it has saved, of any kind.

    Args:
        trainer: of the fit, which begins.
    """

    def __init__(self, trainer: Any) -> None:
        self._callbacks = [weakref.ref(callback) for callback in trainer.checkpoint_callbacks]
        self._known = self._steps()
        self._begun: int | None = None

    def begin(self, step: int) -> None:
        """Note that one is being saved, which goes on from this step."""
        self._begun = step

    def saved(self, *, failed: bool = False) -> int | None:
        """Return the step of what has been saved since the last call, None if nothing.

        Args:
            failed: whether an exception ended the fit: what had begun may not have been written.
        """
        now = self._steps()
        if now == self._known and self._begun is None:
            return None
        new = [step for step, before in zip(now, self._known, strict=True) if step is not None and step != before]
        if self._begun is not None and not failed:
            new.append(self._begun)
        self._known, self._begun = now, None
        return max(new, default=None)

    def _steps(self) -> list[int | None]:
        return [getattr(callback(), "_last_global_step_saved", None) for callback in self._callbacks]
