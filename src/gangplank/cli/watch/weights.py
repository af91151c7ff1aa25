"""The weights of runs, from a server that may not answer for long."""

from __future__ import annotations

import contextlib
import threading

from gangplank.cli.remote.runs import RunStatus
from gangplank.cli.watch.sources import Key, Source

Weights = tuple[tuple[str, int], ...]

# The runs whose weights are remembered.
_MOST = 50


class WeightsReader:
    """Asks a server for the weights of runs; several threads may use it.

    Args:
        source: the server.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._known: dict[Key, Weights] = {}
        self._asking: dict[Key, threading.Thread] = {}

    def read(self, run: RunStatus, patience: float) -> Weights:
        """Return the upper edge of each bucket, and how many weights are in it; nothing if unknown.

        Args:
            run: the run.
            patience: seconds to wait for an answer; without one, those of the last answer are returned.
        """
        with self._lock:
            asking = self._asking.get(run.key)
            if asking is None:
                asking = threading.Thread(target=self._ask, args=(run,), name="gangplank-weights", daemon=True)
                self._asking[run.key] = asking
                asking.start()
        asking.join(patience)
        with self._lock:
            return self._known.get(run.key, ())

    def _ask(self, run: RunStatus) -> None:
        weights = None
        with contextlib.suppress(Exception):  # whatever a server says, the page has the rest
            weights = tuple(self._source.weights(run.labels))
        with self._lock:
            del self._asking[run.key]
            if weights is not None:
                self._known.pop(run.key, None)
                self._known[run.key] = weights
                while len(self._known) > _MOST:
                    del self._known[next(iter(self._known))]
