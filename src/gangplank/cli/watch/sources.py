"""Where the runs are read from: a Pushgateway, or a Prometheus with the last hours."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from gangplank.cli.remote.gateway import GatewayClient
from gangplank.cli.remote.groups import GatewayGroup, Series
from gangplank.cli.remote.needs import Seen
from gangplank.cli.remote.prometheus import Prometheus, Sample
from gangplank.cli.remote.reader import GroupsReader
from gangplank.cli.remote.runs import PAUSES, Observation, metric_of, observe
from gangplank.cli.remote.weights import bucket_counts
from gangplank.core.labels import PHASES
from gangplank.core.types import Group

Key = tuple[tuple[str, str], ...]

_PHASE = "|".join(PHASES)
# Samples of a gateway's page that nothing here shows: more than half of them.
_UNREAD = re.compile(
    rf"gangplank_(?:(?:{_PHASE})_(?:model_weights_(?:bucket|sum|count)|model_parameters|elapsed_time_seconds)"
    r"|run_(?:step_duration_seconds_bucket|samples_per_second|last_success_timestamp_seconds|checkpoint_\w+)"
    r"|run_(?:info|metric_epoch|metric_step|dropped_metrics_total|export_failures_total))"
)
_WEIGHTS = re.compile(rf"gangplank_(?:{_PHASE})_model_weights_bucket")

_START = "gangplank_run_start_timestamp_seconds"
_IS_METRIC = f'__name__!~"gangplank_({_PHASE})_(model_(weights(_bucket|_sum|_count)?|parameters)|elapsed_time_seconds)"'
_NEWEST = (
    '{__name__=~"gangplank_run_(state|epoch|step|nonfinite_metrics|(start|last_update|heartbeat)_timestamp_seconds)"}',
    f'{{__name__=~"gangplank_({_PHASE})_.+",{_IS_METRIC}}}',
)
# What seldom changes, or not by much.
_STEADY = (
    '{__name__=~"gangplank_run_(epochs_planned|steps_planned|resumed_from_step)"}',
    '{__name__=~"gangplank_run_(epoch_duration_seconds|step_duration_seconds_(sum|count))"}',
    'gangplank_run_activity_seconds_total{activity="startup"}',
)
_STILL = (  # a Prometheus that has seen less than an hour of a run knows nothing of an hour
    'changes(gangplank_run_step{phase="train"}[1h]) + changes(gangplank_run_epoch{phase="train"}[1h]) == 0'
    ' and gangplank_run_step{phase="train"} offset 1h'
)
_PAUSING = (
    f'sum without (activity) (rate(gangplank_run_activity_seconds_total{{activity=~"{"|".join(PAUSES)}"}}[5m])) > 0.5'
)
_METRICS = (
    f'{{__name__=~"gangplank_({_PHASE})_.+",'
    f'__name__!~"gangplank_({_PHASE})_(model_(weights.*|parameters)|elapsed_time_seconds)"}}'
)
_PUSHED = f'push_time_seconds{{phase=~"{_PHASE}"}}'
_HOUR = 3600.0
# Seconds for which the answer to a question about the last hour, or about what seldom changes, is kept.
_KEPT_FOR = 30.0


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
        self._reader = GroupsReader(client.strike, lambda name: not _UNREAD.fullmatch(name))
        self._page = ""
        self._observed: dict[Group, Observation | None] = {}

    def __str__(self) -> str:
        return str(self._client)

    def read(self) -> Reading:
        """See `Source`."""
        groups, page = self._client.groups(self._reader)
        self._page = page.text
        self._observed = {group.key: self._observe(group) for group in groups}
        return Reading([run for run in self._observed.values() if run is not None], page.now)

    def _observe(self, group: GatewayGroup) -> Observation | None:
        before = self._observed.get(group.key)
        known = before and (before.pushed_at, before.labels.get("run", ""), before.series)
        return before if known == (group.pushed_at, group.run, group.series) else observe(group)

    def past(self, now: float, points: int, names: Iterable[str]) -> Iterator[Past]:  # noqa: ARG002
        """See `Source`: nothing."""
        return iter(())

    def weights(self, labels: Mapping[str, str]) -> list[tuple[str, int]]:
        """See `Source`; as they were in the last reading."""
        job = f'job="{_escaped(labels.get("job", ""))}"'
        of_job = (line for line in self._page.split("\n") if job in line)
        phase = labels.get("phase", "")
        reader = GroupsReader(self._client.strike, lambda name: bool(_WEIGHTS.fullmatch(name)))
        for group in reader.read("\n".join(of_job)):
            if dict(group.labels) | ({"run": group.run} if group.run else {}) == labels:
                return bucket_counts(phase, [(one.labels, one.value) for one in group.series])
        return []


class PrometheusSource:
    """A Prometheus: it also knows the last hours."""

    def __init__(self, prometheus: Prometheus, hours: float) -> None:
        self._prometheus = prometheus
        self._hours = hours
        self._looked_back = -math.inf  # when
        self._begun: dict[Key, float | None] = {}
        self._steady: dict[Key, list[Series]] = {}
        self._still: set[Key] = set()
        self._pausing: set[Key] = set()

    def __str__(self) -> str:
        return str(self._prometheus)

    def read(self) -> Reading:
        """See `Source`."""
        now = self._time(self._prometheus.instant("vector(time())"))
        newest = self._series(_NEWEST)
        # The next run of a job may have the same labels: it begins later.
        begun = {key: next((one.value for one in series if one.name == _START), None) for key, series in newest.items()}
        if begun != self._begun or not 0 <= now - self._looked_back < _KEPT_FOR:
            self._looked_back = -math.inf  # until all of it has been read
            self._steady = self._series(_STEADY)
            self._still = {sample.labels.of_run for sample in self._prometheus.instant(_STILL)}
            self._pausing = {sample.labels.of_run for sample in self._prometheus.instant(_PAUSING)}
            self._begun, self._looked_back = begun, now
        # A heartbeat is from the trainer's clock: `pushed_at` says that it is not newer.
        pushed = {sample.labels.of_run: sample.value for sample in self._prometheus.instant(_PUSHED)}
        runs = [
            Observation(
                _in_order(key),
                [*series, *self._steady.get(key, ())],
                pushed_at=pushed.get(key, pushed.get(tuple(label for label in key if label[0] != "run"))),
                seen=Seen(_HOUR if key in self._still else 0.0, key in self._pausing),
            )
            for key, series in newest.items()
            if any(one.name == "gangplank_run_state" for one in series)
        ]
        return Reading(runs, now)

    def past(self, now: float, points: int, names: Iterable[str]) -> Iterator[Past]:
        """See `Source`."""
        seconds = self._hours * _HOUR
        pattern = "|".join(re.escape(name) for name in sorted(set(names)))
        metrics = _METRICS.replace("}", f",run=~{json.dumps(pattern, ensure_ascii=False)}}}")
        for samples in self._prometheus.range(metrics, now - seconds, now, seconds / points):
            labels = samples.labels
            series = Series("untyped", labels.metric, labels.of_sample, 0.0)
            if metric := metric_of(series, dict(labels.of_run).get("phase", "")):
                yield Past(labels.of_run, metric, samples.points)

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
            phase,
            [(one.labels.of_sample, one.value) for one in found if one.labels.of_run == tuple(sorted(labels.items()))],
        )

    def _series(self, queries: Iterable[str]) -> dict[Key, list[Series]]:
        """Return the newest series of each run."""
        found: dict[Key, list[Series]] = defaultdict(list)
        for query in queries:
            for labels, value in self._prometheus.instant(query):
                found[labels.of_run].append(Series("untyped", labels.metric, labels.of_sample, value))
        return found

    def _time(self, samples: list[Sample]) -> float:
        """Return the time of an answer."""
        if not samples:
            raise self._prometheus.other()
        return samples[0].value


def _in_order(key: Key) -> dict[str, str]:
    return dict(sorted(key, key=lambda label: (label[0] not in ("job", "phase"), label)))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
