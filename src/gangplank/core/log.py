"""The log: some warnings are logged once, others at most once a minute."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar

from gangplank.core.errors import ExportError, GangplankError

logger = logging.getLogger("gangplank")

T = TypeVar("T")

QUIET_SECONDS = 60.0
# Causes that are remembered; once there are more, the oldest may be logged again.
_MOST_CAUSES = 1_000
# Of the things that one message is about: how many one line names, and how many wait for the next line.
_MOST_IN_LINE, _MOST_WAITING = 20, 1_000


@dataclass(slots=True)
class _Waiting:
    """What the next line of one message says: sentences, and how many others there were; and when the last one was."""

    sentences: list[str] = field(default_factory=list)
    left_out: int = 0
    last: float = -float("inf")


class Log:
    """The log of one exporter, which limits how often a warning is repeated.

    Args:
        raises: raise what `guard` catches instead of logging it.
    """

    def __init__(self, *, raises: bool) -> None:
        self._raises = raises
        self._logged: dict[str, tuple[float, int]] = {}
        self.reset()

    def reset(self) -> None:
        """Replace the lock: after a fork, a thread of the parent may hold the old one forever; it logs what waits."""
        self._lock = threading.RLock()
        self._waiting: dict[str, _Waiting] = {}  # by message

    def guard(self, what: str, *, raises: bool = True) -> AbstractContextManager[None]:
        """Return a context that keeps an exporting problem away from the training: it is logged.

        Raises:
            ExportError: a problem, if the log was made with `raises`, and `raises` is true here as well.
        """
        return _Guard(self, what, raises=raises and self._raises)

    def warn_once(self, cause: str, message: str, *arguments: object) -> None:
        """Log a warning the first time that this cause is given."""
        with contextlib.suppress(Exception):  # a warning that cannot be logged must not end a training
            if self._is_due(cause, for_seconds=float("inf")) is not None:
                _warn(message, *arguments)

    def warn_throttled(self, cause: str, message: str, *arguments: object) -> None:
        """Log a warning, at most once a minute for each cause; the next one counts those that were left out."""
        with contextlib.suppress(Exception):
            left_out = self._is_due(cause, for_seconds=QUIET_SECONDS)
            if left_out is not None:
                more = f" ({left_out} more like it since the last line)" if left_out else ""
                _warn(message + more, *arguments)

    def warn_of_each(self, message: str, things: Mapping[str, tuple[object, ...]]) -> None:
        """Log a warning about each of these things the first time that it is given.

        Their names are the user's, and there may be any number of them: each line is about all that have come since the
        one before, and there is at most one a minute. `log_waiting` logs those that wait.

        Args:
            message: a format, which is the same for all things of a kind.
            things: the arguments of the message, by the name of the thing.
        """
        with contextlib.suppress(Exception):
            with self._lock:
                waiting = self._waiting.setdefault(message, _Waiting())
                for thing, arguments in things.items():
                    cause = f"{message} {thing}"
                    if len(waiting.sentences) >= _MOST_WAITING:
                        waiting.left_out += cause not in self._logged
                    elif self._is_due(cause, for_seconds=float("inf")) is not None:
                        waiting.sentences.append(message % tuple(one_line(one, 250) for one in arguments))
            self.log_waiting()

    def log_waiting(self, *, at_once: bool = False) -> None:
        """Log the things that wait for a line, if the last line was a minute ago, or at once."""
        with contextlib.suppress(Exception):
            for waiting in list(self._waiting.values()):
                with self._lock:
                    now = time.monotonic()
                    if not waiting.sentences or (now - waiting.last < QUIET_SECONDS and not at_once):
                        continue
                    said, waiting.sentences = waiting.sentences[:_MOST_IN_LINE], waiting.sentences[_MOST_IN_LINE:]
                    more, waiting.left_out = waiting.left_out + len(waiting.sentences), 0
                    waiting.last = now
                count = f" ({more} more like it since the last line)" if more else ""
                logger.warning("%s%s", ". ".join(said), count)

    def read(self, name: str, argument: Any, convert: Callable[[Any], T]) -> T | None:
        """Return an argument as it is exported, None if it cannot be: a page with anything else could not be sent."""
        with self.guard(f"reading {name}="):
            return None if argument is None else convert(argument)
        return None

    def recovered(self, message: str, *arguments: object) -> None:
        """Log that a problem is over."""
        with contextlib.suppress(Exception):
            logger.info(message, *map(one_line, arguments))

    def _is_due(self, cause: str, for_seconds: float) -> int | None:
        """Return how many warnings of this cause were left out since the last one, None if the next is not due yet."""
        now = time.monotonic()
        with self._lock:
            last, left_out = self._logged.get(cause, (-float("inf"), 0))
            if now - last < for_seconds:
                self._logged[cause] = (last, left_out + 1)
                return None
            if len(self._logged) >= _MOST_CAUSES:
                self._logged.pop(next(iter(self._logged)))
            self._logged[cause] = (now, 0)
            return left_out


class _Guard(AbstractContextManager[None]):
    """What `Log.guard` returns: a class, because a generator would take twice the time on the training thread."""

    __slots__ = ("_log", "_raises", "_what")

    def __init__(self, log: Log, what: str, *, raises: bool) -> None:
        self._log = log
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
            self._log.warn_throttled(f"{self._what}: {name}", "Exporting: %s failed: %s: %s", self._what, name, error)
            return True
        if isinstance(error, GangplankError):
            return False
        raise ExportError(f"{self._what} failed: {name}: {error}") from error


def describe(error: BaseException) -> str:
    """Return the type and the text of an exception, even if its `str()` raises."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001
        text = "..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def one_line(text: object, limit: int = 500) -> str:
    """Return the beginning of a text as one line without control characters, which could change a terminal."""
    line = " ".join(str(text).split())[:limit]
    return "".join(character if character.isprintable() else "?" for character in line)


def _warn(message: str, *arguments: object) -> None:
    logger.warning(message, *(argument if isinstance(argument, int) else one_line(argument) for argument in arguments))
