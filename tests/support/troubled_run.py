"""A training run that goes wrong in the way its job is named, and goes on until its standard input is closed."""

from __future__ import annotations

import math
import select
import sys

import gangplank
from gangplank.core.delivery import outbox

outbox.HEARTBEAT = 0.5
address, job = sys.argv[1:]
with gangplank.run(address, job, run=f"{job}-1") as run:
    for epoch in run.epochs(3 if job == "finishes" else 10_000):
        step = 10 * (epoch + 1)
        run.record({"loss": math.nan if job == "diverges" and epoch else 1 / step}, step=step)
        if job == "saves no more" and epoch == 1:
            run.checkpoint()
        if job == "fails" and epoch == 1:
            raise RuntimeError("out of memory")
        if job == "hangs" and epoch == 1:
            sys.stdin.read()
        if select.select([sys.stdin], [], [], 0.2)[0]:
            break
