"""Rows from one prediction to the next, until there are enough of them for a test."""

import numpy as np


class Window:
    """Collects rows, so that a test never sees too few of them, nor a row twice.

    Args:
        size: how many rows a test needs at least. It is positive.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._waiting: list[np.ndarray] = []

    def add(self, rows: np.ndarray) -> np.ndarray | None:
        """Return all rows that have come since the last test, once they are enough; None until then.

        A batch that is larger than the window comes back whole: a test is as good with more rows.
        """
        self._waiting.append(rows)
        if sum(len(waiting) for waiting in self._waiting) < self.size:
            return None
        full = np.concatenate(self._waiting)
        self._waiting.clear()
        return full
