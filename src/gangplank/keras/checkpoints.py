"""Which epochs Keras' own callbacks have saved a checkpoint after."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

from keras.callbacks import BackupAndRestore, Callback, ModelCheckpoint


class Checkpoints:
    """Tells whether a callback has saved a checkpoint after an epoch. Keras does not: it is known from how they work.

    `BackupAndRestore` saves after each epoch, and so does `ModelCheckpoint`, but with `save_best_only` only if its
    `best` has changed; without a number to compare, it depends on the version of Keras. What they save after batches is
    not known, nor what other callbacks, or subclasses of these two, do. It keeps no callback alive.

    Args:
        callbacks: of the fit, which begins.
    """

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        self._best: WeakKeyDictionary[Callback, Any] = WeakKeyDictionary()
        for one in callbacks:
            if type(one) in (BackupAndRestore, ModelCheckpoint) and one.save_freq == "epoch":
                self._best[one] = getattr(one, "best", None)

    def saved(self) -> bool:
        """Return whether a checkpoint was saved after an epoch; ask once all callbacks were called."""
        saved = [self._has_saved(one) for one in list(self._best)]  # each notes its `best`
        return any(saved)

    def _has_saved(self, one: Callback) -> bool:
        if not getattr(one, "save_best_only", False):
            return True
        before, self._best[one] = self._best[one], one.best
        return bool(one.best != before)
