"""What gangplank says to the log: each thing once, each trouble once a minute."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from contextlib import AbstractContextManager
from types import TracebackType

from gangplank.core.errors import ExportError, GangplankError

log = logging.getLogger("gangplank")

QUIET_SECONDS = 60.0
# Causes remembered; beyond that, the oldest may be said again.
_MOST_CAUSES = 1_000


class Report:
    """The log of one exporter, which repeats nothing that a reader knows.

    Args:
        raises: raise what `guard` catches instead of logging it.
    """

    def __init__(self, *, raises: bool) -> None:
        self._raises = raises
        self._said: dict[str, tuple[float, int]] = {}
        self.renew()

    def renew(self) -> None:
        """Take a new lock: the old one may be held by a thread that a fork has left behind."""
        self._lock = threading.RLock()

    def guard(self, what: str, *, raises: bool = True) -> AbstractContextManager[None]:
        """Return a context that keeps a problem with exporting from the training.

        Raises:
            ExportError: a problem, where the user asked for it (and `raises`).
        """
        return _Guard(self, what, raises=raises and self._raises)

    def once(self, cause: str, message: str, *arguments: object) -> None:
        """Warn, the first time that this cause is reported."""
        with contextlib.suppress(Exception):  # a report that cannot be made is no reason to end a training
            if self._is_due(cause, for_seconds=float("inf")) is not None:
                _warn(message, *arguments)

    def trouble(self, cause: str, message: str, *arguments: object) -> None:
        """Warn, at most once a minute for this cause; the next line says how many were not said."""
        with contextlib.suppress(Exception):
            unsaid = self._is_due(cause, for_seconds=QUIET_SECONDS)
            if unsaid is not None:
                more = f" ({unsaid} more like it since the last line)" if unsaid else ""
                _warn(message + more, *arguments)

    def recovered(self, message: str, *arguments: object) -> None:
        """Say that a trouble is over."""
        with contextlib.suppress(Exception):
            log.info(message, *map(shown, arguments))

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


class _Guard(AbstractContextManager[None]):
    """What `Report.guard` returns: a class, since a generator would cost the training thread twice the time."""

    __slots__ = ("_raises", "_report", "_what")

    def __init__(self, report: Report, what: str, *, raises: bool) -> None:
        self._report = report
        self._what = what
        self._raises = raises

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        name = type(error).__name__
        if not self._raises:
            self._report.trouble(f"{self._what}: {name}", "Exporting: %s failed: %s: %s", self._what, name, error)
            return True
        if isinstance(error, GangplankError):
            return False
        raise ExportError(f"{self._what} failed: {name}: {error}") from error


def told(error: BaseException) -> str:
    """Return what an exception is and says; a stranger's may not even be able to say it."""
    try:
        said = str(error)
    except Exception:  # noqa: BLE001
        said = "..."
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def shown(text: object, limit: int = 500) -> str:
    """Return the beginning of a stranger's text as one line that does nothing to a terminal."""
    line = " ".join(str(text).split())[:limit]
    return "".join(character if character.isprintable() else "?" for character in line)


def _warn(message: str, *arguments: object) -> None:
    log.warning(message, *(argument if isinstance(argument, int) else shown(argument) for argument in arguments))
