"""What gangplank says to the log: each thing once, each trouble once a minute."""

from __future__ import annotations

import logging
import threading
import time

log = logging.getLogger("gangplank")

QUIET_SECONDS = 60.0
# Causes remembered; beyond that, the oldest may be said again.
_MOST_CAUSES = 1_000


class Report:
    """The log of one exporter, which repeats nothing that a reader knows."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._said: dict[str, tuple[float, int]] = {}

    def once(self, cause: str, message: str, *arguments: object) -> None:
        """Warn, the first time that this cause is reported."""
        if self._is_due(cause, for_seconds=float("inf")) is not None:
            log.warning(message, *arguments)

    def trouble(self, cause: str, message: str, *arguments: object) -> None:
        """Warn, at most once a minute for this cause; the next line says how many were not said."""
        unsaid = self._is_due(cause, for_seconds=QUIET_SECONDS)
        if unsaid is not None:
            more = f" ({unsaid} more like it since the last line)" if unsaid else ""
            log.warning("%s%s", message % arguments, more)

    def recovered(self, message: str, *arguments: object) -> None:
        """Say that a trouble is over."""
        log.info(message, *arguments)

    def _is_due(self, cause: str, for_seconds: float) -> int | None:
        """Return how often the cause went unsaid since it was last said, or None where it is too early to say it."""
        now = time.monotonic()
        with self._lock:
            last, unsaid = self._said.get(cause, (-float("inf"), 0))
            if now - last < for_seconds:
                self._said[cause] = (last, unsaid + 1)
                return None
            if len(self._said) >= _MOST_CAUSES:
                self._said.pop(next(iter(self._said)))
            self._said[cause] = (now, 0)
            return unsaid
