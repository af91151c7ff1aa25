"""Where the runs are read from: a Pushgateway, or a Prometheus with the last hours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple, Protocol

from gangplank.cli.remote.gateway import GatewayClient
from gangplank.cli.remote.groups import Series, read_groups
from gangplank.cli.remote.needs import Seen
from gangplank.cli.remote.prometheus import Prometheus, Samples
from gangplank.cli.remote.runs import PAUSES, SAMPLE_LABELS, Observation, metric_of, observe_groups
from gangplank.cli.remote.weights import bucket_counts
from gangplank.core.labels import PHASES

Key = tuple[tuple[str, str], ...]

_PHASE = "|".join(PHASES)
# Samples of a gateway's page that nothing here shows: more than half of them.
_UNREAD = re.compile(
    rf"gangplank_(?:(?:{_PHASE})_(?:model_weights_(?:bucket|sum|count)|model_parameters|elapsed_time_seconds)"
    r"|run_(?:step_duration_seconds_bucket|samples_per_second|last_success_timestamp_seconds|checkpoint_\w+)"
    r"|run_(?:info|metric_epoch|metric_step|dropped_metrics_total|export_failures_total))"
)
_WEIGHTS = re.compile(rf"gangplank_(?:{_PHASE})_model_weights_bucket")

_NEWEST = (
    '{__name__=~"gangplank_run_(state|epoch|epochs_planned|step|steps_planned|resumed_from_step|epoch_duration_seconds'
    "|nonfinite_metrics|(start|last_update|heartbeat)_timestamp_seconds|step_duration_seconds_(sum|count))"
    f'|gangplank_({_PHASE})_.+",__name__!~".+_model_(weights(_bucket|_sum|_count)?|parameters)"}}'
)
_STARTUP = 'gangplank_run_activity_seconds_total{activity="startup"}'
_STILL = (  # a Prometheus that has seen less than an hour of a run knows nothing of an hour
    'changes(gangplank_run_step{phase="train"}[1h]) + changes(gangplank_run_epoch{phase="train"}[1h]) == 0'
    ' and gangplank_run_step{phase="train"} offset 1h'
)
_PAUSING = (
    f'sum without (activity) (rate(gangplank_run_activity_seconds_total{{activity=~"{"|".join(PAUSES)}"}}[5m])) > 0.5'
)
_METRICS = f'{{__name__=~"gangplank_({_PHASE})_.+",__name__!~".+_(model_(weights.*|parameters)|elapsed_time_seconds)"}}'
_PUSHED = f'push_time_seconds{{phase=~"{_PHASE}"}}'
_HOUR = 3600.0


class Reading(NamedTuple):
    """The runs, and the time by the server's clock."""

    runs: list[Observation]
    now: float


class Past(NamedTuple):
    """The earlier values of one metric of a run: times and values, the oldest first."""

    key: Key
    metric: str
    points: list[tuple[float, float]]


class Source(Protocol):
    """A server that shows runs. What it raises is a GangplankError."""

    def __str__(self) -> str:
        """The address, without credentials."""
        ...

    def read(self) -> Reading:
        """Return the runs as they are now."""
        ...

    def past(self, now: float, points: int, names: Iterable[str]) -> Iterator[Past]:
        """Yield what the server knows of the past of each metric of the runs of these names: at most so many points."""
        ...

    def weights(self, labels: Mapping[str, str]) -> list[tuple[str, int]]:
        """Return the upper edge of each bucket of a run's weights, and how many are in it; perhaps nothing."""
        ...


class GatewaySource:
    """A Pushgateway: it shows the present only."""

    def __init__(self, client: GatewayClient) -> None:
        self._client = client
        self._page = ""

    def __str__(self) -> str:
        return str(self._client)

    def read(self) -> Reading:
        """See `Source`."""
        groups, page = self._client.groups(lambda name: not _UNREAD.fullmatch(name))
        self._page = page.text
        return Reading(observe_groups(groups), page.now)

    def past(self, now: float, points: int, names: Iterable[str]) -> Iterator[Past]:  # noqa: ARG002
        """See `Source`: nothing."""
        return iter(())

    def weights(self, labels: Mapping[str, str]) -> list[tuple[str, int]]:
        """See `Source`; as they were in the last reading."""
        job = f'job="{_escaped(labels.get("job", ""))}"'
        of_job = (line for line in self._page.split("\n") if job in line)
        phase = labels.get("phase", "")
        for group in read_groups("\n".join(of_job), self._client.strike, lambda name: bool(_WEIGHTS.fullmatch(name))):
            if dict(group.labels) | ({"run": group.run} if group.run else {}) == labels:
                return bucket_counts(phase, [(one.labels, one.value) for one in group.series])
        return []


class PrometheusSource:
    """A Prometheus: it also knows the last hours."""

    def __init__(self, prometheus: Prometheus, hours: float) -> None:
        self._prometheus = prometheus
        self._hours = hours

    def __str__(self) -> str:
        return str(self._prometheus)

    def read(self) -> Reading:
        """See `Source`."""
        now = self._prometheus.instant("vector(time())")
        newest = self._prometheus.instant(_NEWEST) + self._prometheus.instant(_STARTUP)
        runs = _observations(newest)
        for samples in self._prometheus.instant(_STILL):
            if (key := _identity(samples.labels)) in runs:
                runs[key] = replace(runs[key], seen=Seen(still=_HOUR))
        for samples in self._prometheus.instant(_PAUSING):
            if (key := _identity(samples.labels)) in runs:
                runs[key] = replace(runs[key], seen=runs[key].seen._replace(pausing=True))
        # A heartbeat is from the trainer's clock: `pushed_at` says that it is not newer.
        pushed = {_identity(samples.labels): samples.points[0][1] for samples in self._prometheus.instant(_PUSHED)}
        for key, run in runs.items():
            group = tuple(label for label in key if label[0] != "run")
            runs[key] = replace(run, pushed_at=pushed.get(key, pushed.get(group)))
        with_state = (run for run in runs.values() if any(one.name == "gangplank_run_state" for one in run.series))
        return Reading(list(with_state), self._time(now))

    def past(self, now: float, points: int, names: Iterable[str]) -> Iterator[Past]:
        """See `Source`."""
        seconds = self._hours * _HOUR
        pattern = "|".join(re.escape(name) for name in sorted(set(names)))
        metrics = _METRICS.replace("}", f",run=~{json.dumps(pattern, ensure_ascii=False)}}}")
        for samples in self._prometheus.range(metrics, now - seconds, now, seconds / points):
            if metric := metric_of(_series(samples), samples.labels.get("phase", "")):
                yield Past(_identity(samples.labels), metric, samples.points)

    def weights(self, labels: Mapping[str, str]) -> list[tuple[str, int]]:
        """See `Source`."""
        phase = labels.get("phase", "")
        if phase not in PHASES:
            return []
        # JSON escapes a text as PromQL does. No label is empty, so one that is not given must be absent.
        given = {name: labels.get(name, "") for name in ("instance", "job", "rank", "run", *labels)}
        matchers = ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in given.items())
        found = self._prometheus.instant(f"gangplank_{phase}_model_weights_bucket{{{matchers}}}")
        return bucket_counts(
            phase, [(one.labels, one.points[0][1]) for one in found if _identity(one.labels) == _identity(labels)]
        )

    def _time(self, samples: list[Samples]) -> float:
        """Return the time of an answer."""
        if not samples:
            raise self._prometheus.other()
        return samples[0].points[0][1]


def _identity(labels: Mapping[str, str]) -> Key:
    return tuple(sorted(label for label in labels.items() if label[0] not in SAMPLE_LABELS | {"__name__"}))


def _observations(newest: list[Samples]) -> dict[Key, Observation]:
    """Return the runs by their labels."""
    runs: dict[Key, Observation] = {}
    for samples in newest:
        key = _identity(samples.labels)
        if key not in runs:
            runs[key] = Observation(_in_order(key))
        runs[key].series.append(_series(samples))
    return runs


def _series(samples: Samples) -> Series:
    labels = {name: value for name, value in samples.labels.items() if name in SAMPLE_LABELS}
    return Series("untyped", samples.labels.get("__name__", ""), labels, samples.points[-1][1])


def _in_order(key: Key) -> dict[str, str]:
    return dict(sorted(key, key=lambda label: (label[0] not in ("job", "phase"), label)))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
