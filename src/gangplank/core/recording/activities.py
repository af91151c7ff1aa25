"""Where the time of a run goes: it does one thing at a time, and the seconds of each add up to its whole time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping

from gangplank.core.errors import ConfigurationError

_STARTUP = "startup"
ACTIVITIES = (_STARTUP, "train", "data_wait", "validate", "checkpoint", "other")
# So many are kept uncounted, if no page is made.
_KEPT = 1_000


class Activities:
    """Counts the seconds of each activity of one run; the first is `startup`.

    Attributes:
        starting: whether no step has ended yet, as far as was told.
    """

    def __init__(self) -> None:
        self.starting = True
        self._newest = _STARTUP
        # What has begun, and when: only appended here, which needs no lock; it is counted later. None ends the startup.
        self._begun: deque[tuple[str | None, float]] = deque()
        self._lock = threading.RLock()
        self._thread: int | None = None
        self._counting, self._counted = _STARTUP, time.monotonic()  # an activity, and until when it is counted
        self._seconds = dict.fromkeys(ACTIVITIES, 0.0)
        self.restart()

    def restart(self) -> None:
        """Count from now on, on this thread: the run starts. The current activity goes on."""
        with self._lock:
            self._thread = threading.get_ident()
            self._count()
            self._seconds = dict.fromkeys(ACTIVITIES, 0.0)

    @property
    def current(self) -> str:
        """The activity that goes on."""
        return "train" if self._newest == _STARTUP and not self.starting else self._newest

    def begin(self, activity: str) -> None:
        """End the current activity, and begin another one; on a thread that did not start the run, nothing changes.

        Raises:
            ConfigurationError: there is no such activity.
        """
        if activity not in ACTIVITIES:
            raise ConfigurationError(f"activity {activity!r:.50}: give one of {', '.join(ACTIVITIES)}")
        if self._thread == threading.get_ident():
            self._newest = activity
            self._begun.append((activity, time.monotonic()))
            if len(self._begun) > _KEPT:
                self.seconds()

    def resume(self, activity: str) -> None:
        """Begin an activity that was current before; it was `startup` only as long as the run starts up."""
        self.begin("train" if activity == _STARTUP and not self.starting else activity)

    def end_startup(self) -> None:
        """Note, on any thread, that a step has ended: what was `startup` is `train` from now on."""
        if self.starting:
            self.starting = False
            self._begun.append((None, time.monotonic()))

    def seconds(self) -> Mapping[str, float]:
        """Return the seconds of each activity so far; together they are the time since the run has started."""
        with self._lock:
            self._count()
            return dict(self._seconds)

    def _count(self) -> None:
        """Count what has begun, and the current activity until now; the caller holds the lock."""
        now = time.monotonic()
        while self._begun:
            activity, began = self._begun.popleft()
            self._count_until(began)
            if activity is not None:
                self._counting = activity
            elif self._counting == _STARTUP:
                self._counting = "train"
        self._count_until(now)

    def _count_until(self, moment: float) -> None:
        if moment > self._counted:  # otherwise another thread has counted further, which must not be taken back
            self._seconds[self._counting] += moment - self._counted
            self._counted = moment
