"""A run as a gateway or a Prometheus shows it now: how far it is, its newest metrics, and whether it needs somebody."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gangplank.cli.remote.groups import GatewayGroup, Series
from gangplank.cli.remote.memory import remembering
from gangplank.cli.remote.needs import UNSEEN, Need, Seen, needs_of
from gangplank.core.labels import RESERVED_LABELS
from gangplank.core.page.page import RUNNING, STATES

#: The labels that distinguish samples of one run; the others identify the run.
SAMPLE_LABELS = RESERVED_LABELS - {"instance", "job", "phase", "rank", "run"}
#: The activities that make no progress.
PAUSES = ("validate", "checkpoint", "other")
# What is not a metric of the training, below `gangplank_<phase>_`.
_NO_METRICS = ("model_weights", "model_parameters", "elapsed_time_seconds", "epochs_count")
# The order in which metrics are shown; the others follow by name, those of batches last.
_FIRST = ("loss", "val_loss", "eval_loss", "accuracy", "val_accuracy")

# The kinds of facts, by the names of their series.
_STATE, _VALUE, _ACTIVITY, _WEIGHTS, _METRIC = "state", "value", "activity", "weights", "metric"


class Facts(NamedTuple):
    """What the samples of a run say.

    Attributes:
        state: `running`, `finished`, `failed`, `interrupted`, or whatever the server says.
        values: `gangplank_run_<name>` by name; `nonfinite_weights`; and the seconds of `startup`.
        paused: the seconds spent on evaluating and saving.
        metrics: the newest values by name, the most interesting first.
    """

    state: str
    values: Mapping[str, float]
    paused: float
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Observation:
    """What a server shows of one run.

    Attributes:
        labels: those that identify the run, `run` included if it has a name, as they may be shown.
        series: its samples, each with the labels that distinguish it from the others.
        pushed_at: when something was last pushed, by the gateway's clock; None if the server does not say.
        seen: what the server knows of the time before.
    """

    labels: Mapping[str, str]
    series: list[Series] = field(default_factory=list)
    pushed_at: float | None = None
    seen: Seen = UNSEEN

    @property
    def key(self) -> tuple[tuple[str, str], ...]:
        """The labels, sorted."""
        return tuple(sorted(self.labels.items()))

    @functools.cached_property
    def facts(self) -> Facts:
        """What its samples say."""
        phase = self.labels.get("phase", "")
        states = []
        values = {"nonfinite_weights": 0.0}
        paused = 0.0
        metrics = {}
        for series in self.series:
            kind, name = _kind_of(series.name, phase)
            if kind == _VALUE:
                values[name] = series.value
            elif kind == _METRIC:
                metrics[_with_labels(name, series)] = series.value
            elif kind == _STATE:
                states += [series.labels.get("state", "")] if series.value else []
            elif kind == _WEIGHTS:
                values["nonfinite_weights"] += series.value
            elif kind == _ACTIVITY:
                activity = series.labels.get("activity")
                paused += series.value if activity in PAUSES else 0.0
                values |= {"startup": series.value} if activity == "startup" else {}
        return Facts(
            ", ".join(states), values, paused, {name: metrics[name] for name in sorted(metrics, key=_interest)}
        )


@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run at one moment.

    Attributes:
        labels: those that identify the run.
        key: the same, sorted.
        state: `running`, `finished`, `failed`, `interrupted`, or whatever the server says.
        needs: why somebody should look at it, the most urgent first.
        position: `12/90 epochs`, or an empty text.
        short_position: the same in at most 11 characters: `12/90`, `120k/1M`.
        progress: the fraction that is complete, from 0 to 1, or None.
        remaining: the seconds until it is complete, while it makes progress, or None.
        metrics: the newest values by name, the most interesting first.
        heartbeat: the seconds since the last heartbeat, or None.
        started: when it began: Unix time in seconds by the trainer's clock, or None.
    """

    labels: Mapping[str, str]
    key: tuple[tuple[str, str], ...]
    state: str
    needs: tuple[Need, ...]
    position: str
    short_position: str
    progress: float | None
    remaining: float | None
    metrics: Mapping[str, float]
    heartbeat: float | None
    started: float | None = None

    @property
    def job(self) -> str:
        """The job."""
        return self.labels.get("job", "")

    @property
    def phase(self) -> str:
        """The phase."""
        return self.labels.get("phase", "")

    @property
    def name(self) -> str:
        """The `run` label, or an empty text."""
        return self.labels.get("run", "")

    @property
    def others(self) -> str:
        """The labels beside job, phase and run: `team='vision'`."""
        shown = (label for label in self.labels.items() if label[0] not in ("job", "phase", "run"))
        return ", ".join(f"{name}={value!r}" for name, value in shown)


def observe(group: GatewayGroup) -> Observation | None:
    """Return the run of a group of a gateway; None if it has none."""
    if not any(series.name == "gangplank_run_state" for series in group.series):
        return None
    return Observation(dict(group.labels) | ({"run": group.run} if group.run else {}), group.series, group.pushed_at)


def status_of(observed: Observation, now: float, seen: Seen = UNSEEN) -> RunStatus:
    """Return how a run stands.

    Args:
        observed: what a server shows of it.
        now: Unix time in seconds by the server's clock.
        seen: what we have seen of it before.
    """
    phase, state = observed.labels.get("phase", ""), observed.facts.state
    values = dict(observed.facts.values)
    heartbeat = values.get("heartbeat_timestamp_seconds")
    if heartbeat is not None and observed.pushed_at is not None:
        # It is from the trainer's clock, which may be ahead: no heartbeat is newer than the newest push.
        values["heartbeat_timestamp_seconds"] = heartbeat = min(heartbeat, observed.pushed_at)
    seen = Seen(max(seen.still, observed.seen.still), seen.pausing or observed.seen.pausing)
    needs = needs_of(state, phase, values, now, seen)
    halted = any(need.alert in ("RunDead", "RunStuck") for need in needs)
    return RunStatus(
        labels=observed.labels,
        key=observed.key,
        state=state,
        needs=needs,
        position=_position(values, "{:,}".format),
        short_position=_position(values, _short).removesuffix(" steps").removesuffix(" epochs"),
        progress=_progress(values),
        remaining=_remaining(values, now) if state == RUNNING and not halted else None,
        metrics=observed.facts.metrics,
        heartbeat=None if heartbeat is None else now - heartbeat,
        started=values.get("start_timestamp_seconds"),
    )


def metric_of(series: Series, phase: str) -> str | None:
    """Return the name of a metric of the training, such as `val_loss`; None if the series is something else."""
    kind, name = _kind_of(series.name, phase)
    return _with_labels(name, series) if kind == _METRIC else None


def _with_labels(name: str, series: Series) -> str:
    others = ", ".join(f'{label}="{value}"' for label, value in series.labels.items())
    return f"{name}{{{others}}}" if others else name


@remembering
def _kind_of(name: str, phase: str) -> tuple[str, str]:
    """Return what kind of fact a series of this name is, and the fact's own name."""
    if name == "gangplank_run_state":
        return _STATE, ""
    if name == "gangplank_run_activity_seconds_total":
        return _ACTIVITY, ""
    if name == "gangplank_train_model_weights_nonfinite":
        return _WEIGHTS, ""
    if name.startswith("gangplank_run_"):
        return _VALUE, name.removeprefix("gangplank_run_")
    metric = name.removeprefix(f"gangplank_{phase}_")
    is_metric = phase and metric != name and not metric.startswith(_NO_METRICS)
    return (_METRIC, metric) if is_metric else ("", "")


def by_urgency(run: RunStatus) -> tuple[int, int, float, tuple[tuple[str, str], ...]]:
    """Return what sorts runs: those that need somebody first, then the running ones, then the newest."""
    state = STATES.index(run.state) if run.state in STATES else len(STATES)
    beat = run.heartbeat if run.heartbeat is not None and math.isfinite(run.heartbeat) else math.inf
    return (not run.needs, state != STATES.index(RUNNING), 0.0 if run.state == RUNNING else beat, run.key)


@remembering
def _interest(name: str) -> tuple[int, bool, str]:
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), name.startswith("batch_"), name)


def _position(values: Mapping[str, float], write: Callable[[int], str]) -> str:
    """Return steps if it is known how many are planned, else epochs."""
    for unit in ("step", "epoch"):
        if (done := _whole(values.get(unit))) is not None and (planned := _whole(values.get(f"{unit}s_planned"))):
            return f"{write(done)}/{write(planned)} {unit}s"
    for unit in ("epoch", "step"):
        if (done := _whole(values.get(unit))) is not None:
            return f"{unit} {write(done)}"
    return ""


def _short(number: int) -> str:
    """Return a number in at most 5 characters; more only if it is huge."""
    for least, size, letter in ((10**9, 10**9, "G"), (10**6, 10**6, "M"), (10**4, 10**3, "k")):
        if abs(number) >= least:
            return f"{number / size:.3g}{letter}"
    return str(number)


def _whole(value: float | None) -> int | None:
    return int(value) if value is not None and abs(value) < 2**53 else None


def _progress(values: Mapping[str, float]) -> float | None:
    """Return `gangplank:run_progress_ratio` of monitoring/recording.yaml."""
    for unit in ("step", "epoch"):
        done, planned = values.get(unit), values.get(f"{unit}s_planned")
        if done is not None and planned is not None:
            ratio = done / planned if planned else math.nan
            return min(max(ratio, 0.0), 1.0) if math.isfinite(ratio) else None
    return None


def _remaining(values: Mapping[str, float], now: float) -> float | None:
    """Return `gangplank:run_remaining_seconds` of monitoring/recording.yaml, which docs/progress.md explains."""

    def by_steps(updated: float) -> float | None:
        names = ("steps_planned", "step", "start_timestamp_seconds", "startup", "resumed_from_step")
        if any(name not in values for name in names):
            return None
        planned, step, start, startup, resumed = (values[name] for name in names)
        timed = step - resumed - 1
        return (planned - step) * (updated - start - startup) / timed if timed > 0 else None

    def by_epochs() -> float | None:
        names = ("epochs_planned", "epoch", "epoch_duration_seconds")
        if any(name not in values for name in names):
            return None
        planned, epoch, duration = (values[name] for name in names)
        return (planned - epoch) * duration

    updated = values.get("last_update_timestamp_seconds")
    if updated is None:
        return None
    left = by_steps(updated)
    left = by_epochs() if left is None else left
    if left is None or not math.isfinite(left) or not math.isfinite(updated):
        return None
    return max(left - (now - updated), 0.0)
