"""A forked child's warnings wait for no lock of its parent's."""

from __future__ import annotations

import os
import signal

import pytest

from gangplank.predict.log import new_log


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_child_can_log() -> None:
    log = new_log()
    with log._lock:  # noqa: SLF001  as another thread may hold it
        pid = os.fork()
        if not pid:  # pragma: no cover
            signal.alarm(10)
            import threading  # noqa: PLC0415

            thread = threading.Thread(target=log.warn_once, args=("cause", "a child's warning"), daemon=True)
            thread.start()
            thread.join(5)
            os._exit(1 if thread.is_alive() else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
