"""Where the time of a run goes: it does one thing at a time, and the seconds of each add up to its whole time."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from gangplank.core.errors import ConfigurationError

_STARTUP = "startup"
ACTIVITIES = (_STARTUP, "train", "data_wait", "validate", "checkpoint", "other")


class Activities:
    """Counts the seconds of each activity of one run; the first is `startup`.

    Attributes:
        current: the activity that goes on.
        starting: whether no step has ended yet, as far as was told.
    """

    def __init__(self) -> None:
        self.current = _STARTUP
        self.starting = True
        # Without it, the thread that sends could see a time that one which begins an activity then takes back.
        self._lock = threading.RLock()
        self._thread: int | None = None
        self.restart()

    def restart(self) -> None:
        """Count from now on, on this thread: the run starts. The current activity goes on."""
        with self._lock:
            self._thread = threading.get_ident()
            self._since = time.monotonic()
            self._seconds = dict.fromkeys(ACTIVITIES, 0.0)

    def begin(self, activity: str) -> None:
        """End the current activity, and begin another one; on a thread that did not start the run, nothing changes.

        Raises:
            ConfigurationError: there is no such activity.
        """
        if activity not in ACTIVITIES:
            raise ConfigurationError(f"activity {activity!r:.50}: give one of {', '.join(ACTIVITIES)}")
        if self._thread == threading.get_ident():
            self._begin(activity)

    def resume(self, activity: str) -> None:
        """Begin an activity that was current before; it was `startup` only as long as the run starts up."""
        self.begin("train" if activity == _STARTUP and not self.starting else activity)

    def end_startup(self) -> None:
        """Note, on any thread, that a step has ended: what was `startup` is `train` from now on."""
        if self.starting:
            self.starting = False
            if self.current == _STARTUP:
                self._begin("train")

    def seconds(self) -> Mapping[str, float]:
        """Return the seconds of each activity so far; together they are the time since the run has started."""
        with self._lock:
            return {**self._seconds, self.current: self._seconds[self.current] + time.monotonic() - self._since}

    def _begin(self, activity: str) -> None:
        with self._lock:
            now = time.monotonic()
            self._seconds[self.current] += now - self._since
            self.current, self._since = activity, now
