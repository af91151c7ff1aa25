"""The throw-away group that `gangplank doctor` pushes as a run would, reads, and deletes."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable

import numpy as np

from gangplank.cli.client import GatewayClient
from gangplank.cli.findings import Check, Tell, refusal
from gangplank.cli.groups import Held, read
from gangplank.core.buckets import HISTOGRAM_WEIGHT_BUCKETS_0_3
from gangplank.core.errors import DeliveryError, GangplankError
from gangplank.core.histogram import count_weights
from gangplank.core.info import known_info
from gangplank.core.page import Page
from gangplank.core.report import shown
from gangplank.core.sinks.pushgateway import Pushgateway
from gangplank.core.snapshot import Group, Outcome, StepTimes

JOB, METRIC = "gangplank-doctor", "doctor"
_WEIGHTS = count_weights([np.array([-0.5, -0.25, 0.0, 0.1, math.nan])], HISTOGRAM_WEIGHT_BUCKETS_0_3)
_TIMEOUT = 10.0
# The gateway takes and deletes behind its answer.
_PATIENCE = 2.0


def page(group: Group, phase: str) -> Page:
    """Return a page with something in every family: a NaN, and a histogram whose first edge is negative.

    It is of a run that has ended, and counts no NaN: nobody is to be woken by it.
    """
    now = time.time()
    return Page(
        group=group,
        phase=phase,
        labels={"run": JOB},
        info=known_info(),
        started=now,
        last_update=now,
        heartbeat=now,
        succeeded=now,
        state=Outcome.FINISHED,
        epochs_planned=1,
        epoch=1,
        step=1,
        epoch_duration=1.0,
        samples_per_second=1.0,
        step_times=StepTimes((1.0,), (1, 0), 0.5, 0.2, 0.2),
        metrics={METRIC: (math.nan, 1)},
        learning_rates={"": 0.001},
        parameters=(5, 0),
        weights={"": _WEIGHTS},
    )


def try_out(sink: Pushgateway, client: GatewayClient, tell: Tell, meanwhile: Callable[[Group | None], None]) -> None:
    """Push a group of our own, and delete it again, whatever happens in between.

    Args:
        sink: pushes to the gateway.
        client: reads it, and deletes.
        tell: is told what was found, at once.
        meanwhile: is called while the group is there, and given it; None where it could not be pushed.
    """
    job = f"{JOB}-{secrets.token_hex(4)}"
    pushed = Group((("job", job), ("phase", "train")))
    there: bool | None = None  # nobody knows
    try:
        try:
            sink.send(page(pushed, "train"), _TIMEOUT)
            there = True
            tell(_arrived(client, job))
        except DeliveryError as error:
            there = False if error.reason == "rejected" else None
            cure = "the other checks of this gateway may say why" if error.reason == "rejected" else ""
            tell(refusal("push", str(error), sent=sink.authenticates, cure=cure))
        except GangplankError as error:
            tell(refusal("push", str(error), sent=sink.authenticates))
        meanwhile(pushed if there else None)
    finally:
        _clear(client, pushed, tell, there=there)


def _arrived(client: GatewayClient, job: str) -> Check:
    """Return whether the page shows what was pushed."""
    wanted = {METRIC: math.nan, "model_weights_sum": _WEIGHTS.sum, "model_weights_count": float(_WEIGHTS.total)}
    end = time.monotonic() + _PATIENCE
    while True:
        lines = client.page().text.splitlines()
        ours = (line for line in lines if f'job="{job}"' in line or line.startswith("# TYPE gangplank_"))
        values = {one.name: one.value for held in read("\n".join((*ours, ""))) for one in held.series}
        different = [name for name, value in wanted.items() if str(values.get(f"gangplank_train_{name}")) != str(value)]
        if not different:
            return Check("push", "ok", "a throw-away group arrived, its NaN and its negative buckets with it")
        if time.monotonic() > end:
            found = f"the gateway took a group, and does not show gangplank_train_{different[0]} as it was pushed"
            return Check("push", "problem", found, "a proxy may change or cache what passes: ask who runs it")
        time.sleep(0.05)


def _clear(client: GatewayClient, group: Group, tell: Tell, *, there: bool | None) -> None:
    """Delete the group and see that it is gone; where it never came, that is no news."""
    job = dict(group.labels)["job"]
    try:
        why = client.delete([Held(group, 0.0, 0.0)]).get(group, "")
    except GangplankError as error:
        why = str(error)
    left: bool | None = None
    try:
        end = time.monotonic() + _PATIENCE
        while (left := f'job="{job}"' in client.page().text) and time.monotonic() < end:
            time.sleep(0.05)
    except GangplankError as error:
        why = why or str(error)
    cure = f"gangplank delete {client} --job {job} --yes"
    if left or (left is None and there):
        tell(Check("delete", "problem", f"the throw-away group is there still: {shown(why)}", cure))
    elif left is None and there is None:
        tell(Check("delete", "warning", f"nobody knows whether the throw-away group is there: {why}", cure))
    elif there:
        tell(Check("delete", "ok", "the throw-away group is deleted, and gone"))
