"""The logs of instrumented models, which a forked child must not inherit locked."""

from __future__ import annotations

import weakref

from gangplank.core.lifecycle import after_fork
from gangplank.core.log import Log

_logs: weakref.WeakSet[Log] = weakref.WeakSet()


def new_log() -> Log:
    """Return a log that never raises."""
    log = Log(raises=False)
    _logs.add(log)
    return log


def _reset() -> None:
    for log in list(_logs):
        log.reset()


after_fork(_reset)
