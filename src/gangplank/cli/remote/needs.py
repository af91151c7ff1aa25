"""Why somebody should look at a run: what the alerts of `gangplank rules` say, computed from one look at it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gangplank.cli.remote.groups import format_duration
from gangplank.core.page.page import RUNNING
from gangplank.monitoring import thresholds

_DEFAULTS = thresholds.read({})
_DEAD_AFTER, _STUCK_AFTER, _STUCK_WITHOUT_STEPS, _FAILED_FOR = (
    float(_DEFAULTS[name]) for name in ("dead_after", "stuck_after", "stuck_without_steps", "failed_for")
)
# GangplankRunStuck: so many of its epochs or steps; and how long neither may change, whatever is logged.
_EPOCHS, _STEPS, _STILL = 3, 20, 3600.0


@dataclass(frozen=True, slots=True)
class Need:
    """One reason.

    Attributes:
        alert: the alert that says so, without `Gangplank`.
        short: for a table: `dead 12 min`.
        text: a clause whose subject is the run: `is dead: no heartbeat for 12 min`.
    """

    alert: str
    short: str
    text: str


class Seen(NamedTuple):
    """What several looks at a run tell, and one does not.

    Attributes:
        still: the seconds for which neither step nor epoch has changed.
        pausing: whether most of the last minutes went into evaluating, saving and callbacks.
    """

    still: float = 0.0
    pausing: bool = False


#: What one look tells.
UNSEEN = Seen()


def needs_of(state: str, phase: str, values: Mapping[str, float], now: float, seen: Seen) -> tuple[Need, ...]:
    """Return the reasons, the most urgent first.

    Args:
        state: that the run has reported.
        phase: its phase.
        values: `gangplank_run_<name>` by name, and `nonfinite_weights`.
        now: Unix time in seconds by the server's clock.
        seen: what several looks at the run have told.
    """
    silent = now - values.get("heartbeat_timestamp_seconds", math.nan)
    return tuple(_needs(state, phase, values, now, silent, seen))


def _needs(
    state: str, phase: str, values: Mapping[str, float], now: float, silent: float, seen: Seen, /
) -> Iterator[Need]:
    if state == "failed" and silent < _FAILED_FOR:
        ago = format_duration(max(silent, 0))
        yield Need("RunFailed", f"failed {ago}", f"failed {ago} ago")
    if state != RUNNING:
        return
    dead = silent > _DEAD_AFTER
    if dead:
        age = format_duration(silent)
        yield Need("RunDead", f"dead? {age}", f"is probably dead: no heartbeat for {age}")
    if not dead and phase == "train" and (halted := _halted(values, now, seen)):
        age = format_duration(halted)
        yield Need("RunStuck", f"stuck {age}", f"is stuck: alive, and no progress for {age}")
    if (weights := values["nonfinite_weights"]) > 0:
        yield Need("WeightsNotFinite", "NaN weights", f"has {weights:,.0f} weights that are NaN or infinite")
    if (metrics := values.get("nonfinite_metrics", 0)) > 0:
        are = "metric that is" if metrics == 1 else "metrics that are"
        yield Need("MetricNotFinite", "NaN metrics", f"has {metrics:,.0f} {are} NaN or infinite")


def _halted(values: Mapping[str, float], now: float, seen: Seen) -> float:
    """Return for how many seconds a training has made no progress, if that is too long, else 0."""
    idle = now - values.get("last_update_timestamp_seconds", math.nan)
    epoch = values.get("epoch_duration_seconds")
    steps = values.get("step_duration_seconds_count")
    mean = values.get("step_duration_seconds_sum", math.nan) / steps if steps else math.nan
    untimed = epoch is None and steps is None
    judged_by_epochs = steps is None or idle <= _STUCK_WITHOUT_STEPS
    if (
        idle > _STUCK_AFTER
        and not (judged_by_epochs and idle <= _EPOCHS * (math.nan if epoch is None else epoch))
        and not idle <= _STEPS * mean
        and not ((untimed or seen.pausing) and idle <= _STUCK_WITHOUT_STEPS)
    ):
        return idle
    started = now - values.get("start_timestamp_seconds", math.nan)
    counted = "step" in values and "epoch" in values
    long_epoch = _EPOCHS * (math.nan if epoch is None else epoch) > _STILL
    return seen.still if counted and seen.still >= _STILL and started > _STILL and not long_epoch else 0.0
