"""The temporary group that `gangplank doctor` pushes as a run would, reads back, and deletes."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable

import numpy as np

from gangplank.cli.doctor.check import Check, Report, refused
from gangplank.cli.remote.gateway import GatewayClient
from gangplank.cli.remote.groups import GatewayGroup
from gangplank.cli.remote.reader import GroupsReader
from gangplank.core.environment import known_info
from gangplank.core.errors import DeliveryError, GangplankError
from gangplank.core.log import one_line
from gangplank.core.page.page import MetricValue, Page
from gangplank.core.recording.activities import ACTIVITIES
from gangplank.core.sinks.pushgateway import Pushgateway
from gangplank.core.types import Group, Outcome, Snapshot, StepTimes
from gangplank.core.weights.buckets import HISTOGRAM_WEIGHT_BUCKETS_0_3
from gangplank.core.weights.histogram import count_weights

JOB, METRIC = "gangplank-doctor", "doctor"
_WEIGHTS = count_weights([np.array([-0.5, -0.25, 0.0, 0.1, math.nan])], HISTOGRAM_WEIGHT_BUCKETS_0_3)
_PUSH_TIMEOUT = 10.0
# The gateway applies a push or a deletion after it has answered.
_VISIBLE_TIMEOUT = 2.0


def full_page(group: Group, phase: str, destination: str) -> Page:
    """Return a page with a sample in every family: a NaN, and a histogram whose first edge is negative.

    It shows a run that has finished, and no metric is NaN, so that it sets off no alert.
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
        metrics={METRIC: MetricValue(0.5, epoch=1, step=1)},
        activities=dict.fromkeys(ACTIVITIES, 0.0),
        newest=Snapshot(
            epochs_planned=1,
            epoch=1,
            steps_planned=1,
            resumed_from_step=0,
            step=1,
            checkpoint=(now, 1),
            epoch_duration=1.0,
            samples_per_second=1.0,
            step_times=StepTimes((1.0,), (1, 0), 0.5, 0.2, 0.2),
            learning_rates={"": math.nan},
            parameters=(5, 0),
            weights={"": _WEIGHTS},
        ),
        failures={destination: {}},
    )


def push_and_delete(
    sink: Pushgateway, client: GatewayClient, report: Report, while_pushed: Callable[[Group | None], None]
) -> None:
    """Push a temporary group, and delete it again, whatever happens meanwhile.

    Args:
        sink: pushes to the gateway.
        client: reads the gateway, and deletes the group.
        report: takes each result.
        while_pushed: called with the group while it is on the gateway, or with None if it could not be pushed.
    """
    job = f"{JOB}-{secrets.token_hex(4)}"
    group = Group((("job", job), ("phase", "train")))
    pushed: bool | None = None  # unknown
    try:
        try:
            sink.send(full_page(group, "train", str(sink)), _PUSH_TIMEOUT)
            pushed = True
            report(_read_back(client, job))
        except DeliveryError as error:
            pushed = False if error.reason == "rejected" else None
            fix = "" if pushed is None else "see the other checks of this gateway"
            report(refused("push", error, authenticated=sink.authenticates, fix=fix))
        except GangplankError as error:
            report(refused("push", error, authenticated=sink.authenticates))
        while_pushed(group if pushed else None)
    finally:
        _delete(client, group, report, pushed=pushed)


def _read_back(client: GatewayClient, job: str) -> Check:
    """Check whether the page shows what was pushed."""
    weights = {"model_weights_sum": _WEIGHTS.sum, "model_weights_count": float(_WEIGHTS.total)}
    pushed = {"learning_rate": math.nan, **weights}
    deadline = time.monotonic() + _VISIBLE_TIMEOUT
    while True:
        lines = client.page().text.split("\n")
        ours = (line for line in lines if f'job="{job}"' in line or line.startswith("# TYPE gangplank_"))
        values = {one.name: one.value for group in GroupsReader().read("\n".join((*ours, ""))) for one in group.series}
        different = [name for name, value in pushed.items() if str(values.get(f"gangplank_train_{name}")) != str(value)]
        if not different:
            return Check("push", "ok", "a temporary group arrived, with its NaN and its negative buckets")
        if time.monotonic() > deadline:
            found = f"the gateway accepted a group, but does not show gangplank_train_{different[0]} as it was pushed"
            return Check("push", "problem", found, "check whether a proxy in front of it changes or caches pages")
        time.sleep(0.05)


def _delete(client: GatewayClient, key: Group, report: Report, *, pushed: bool | None) -> None:
    """Delete the group, and check that it is gone; if it was never pushed, report nothing."""
    job = dict(key.labels)["job"]
    try:
        error = client.delete_groups([GatewayGroup(key, dict(key.labels), 0.0, 0.0)]).get(key, "")
    except GangplankError as failure:
        error = str(failure)
    left: bool | None = None  # unknown
    try:
        deadline = time.monotonic() + _VISIBLE_TIMEOUT
        while (left := f'job="{job}"' in client.page().text) and time.monotonic() < deadline:
            time.sleep(0.05)
    except GangplankError as failure:
        error = error or str(failure)
    fix = f"gangplank delete {client} --job {job} --yes"
    if left or (left is None and pushed):
        report(Check("delete", "problem", f"the temporary group is still there: {one_line(error)}", fix))
    elif left is None and pushed is None:
        report(Check("delete", "warning", f"the temporary group may still be there: {error}", fix))
    elif pushed:
        report(Check("delete", "ok", "the temporary group is deleted"))
