"""The groups that a gateway holds: from its page, which of them are meant, and how long ago."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from gangplank.core.errors import GangplankError
from gangplank.core.naming import PHASES
from gangplank.core.page import RUNNING
from gangplank.core.report import shown
from gangplank.core.snapshot import Group

# The heartbeat comes once a minute; a process that missed three of them may be dead.
FRESH_SECONDS = 180
_TIMES = ("push_time_seconds", "push_failure_time_seconds")


@dataclass(frozen=True, slots=True)
class Series:
    """A sample of gangplank's; `labels` are those that the group's key does not say."""

    kind: str
    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Held:
    """A group that a gateway holds.

    Attributes:
        group: its key: `job`, `phase`, and the others by name.
        pushed, failed: when a push was last accepted and last refused, by the gateway's clock; 0 for never.
        series: those of gangplank's families.
    """

    group: Group
    pushed: float
    failed: float
    series: list[Series] = field(default_factory=list)

    def __str__(self) -> str:
        return ", ".join(f"{shown(name)}={value!r}" for name, value in self.group.labels)

    @property
    def key(self) -> dict[str, str]:
        """The labels of its key."""
        return dict(self.group.labels)

    @property
    def is_ours(self) -> bool:
        """Whether gangplank pushed it; one never accepted holds nothing that tells, but the phase in its key."""
        return bool(self.series) or (not self.pushed and self.key.get("phase") in PHASES)

    @property
    def has_run(self) -> bool:
        """Whether it holds what gangplank says of each run."""
        return any(series.name.startswith("gangplank_run_") for series in self.series)

    @property
    def run(self) -> str:
        """The run, or nothing."""
        return self.key.get("run") or next((label for s in self.series if (label := s.labels.get("run"))), "")

    @property
    def state(self) -> str:
        """How the run stands by its own account, or nothing."""
        return ", ".join(s.labels.get("state", "") for s in self.series if s.name == "gangplank_run_state" and s.value)

    def value(self, name: str) -> float | None:
        """Return the value of the run family `gangplank_run_<name>`, or None where there is none."""
        return next((s.value for s in self.series if s.name == f"gangplank_run_{name}"), None)

    def silence(self, now: float) -> float:
        """Return for how long nothing was heard of its run: the heartbeat is the trainer's clock, the push ours."""
        return now - min(self.pushed, self.value("heartbeat_timestamp_seconds") or self.pushed)

    def is_alive(self, now: float) -> bool:
        """Whether its run goes on, as far as one can tell."""
        return RUNNING in self.state and self.silence(now) <= FRESH_SECONDS

    def standing(self, now: float) -> str:
        """Return how its run stands, in words."""
        if not self.pushed:
            return "never accepted"
        if RUNNING in self.state and not self.is_alive(now):
            return f"{self.state}? ({words(self.silence(now))})"
        return self.state

    def push(self, now: float) -> str:
        """Return when something was last pushed to it, in words."""
        if not self.pushed:
            return f"refused {ago(self.failed, now)}"
        return f"{ago(self.pushed, now)}{', a later one refused' if self.failed > self.pushed else ''}"


def read(text: str) -> list[Held]:
    """Return the groups that a gateway's `/metrics` shows, by job and phase.

    A sample belongs to the group with the longest key that fits it: the page does not say which one it came from.

    Raises:
        GangplankError: it is no such page.
    """
    times: dict[str, dict[Group, float]] = {name: {} for name in _TIMES}
    ours = []
    try:
        for family in text_string_to_metric_families(text):
            if family.name in times:
                times[family.name] |= {_group(sample.labels): float(sample.value) for sample in family.samples}
            ours += [(family.type, sample) for sample in family.samples if sample.name.startswith("gangplank_")]
    except (ValueError, LookupError) as error:
        raise GangplankError(f"what the gateway shows cannot be read: {shown(error)}") from error
    pushed, failed = times.values()
    held = {group: Held(group, pushed[group], failed.get(group, 0.0)) for group in sorted(pushed, key=_by_job)}
    shapes = sorted({tuple(name for name, _ in group.labels) for group in held}, key=len, reverse=True)
    for kind, sample in ours:
        keys = (Group(tuple((name, sample.labels.get(name, "")) for name in shape)) for shape in shapes)
        if group := next((key for key in keys if key in held), None):
            known = {*group.labels, ("instance", "")}
            labels = {name: text for name, text in sample.labels.items() if (name, text) not in known}
            held[group].series.append(Series(kind, sample.name, labels, float(sample.value)))
    return list(held.values())


def chosen(
    groups: Iterable[Held], job: str | None, phase: str | None = None, labels: Iterable[tuple[str, str]] = ()
) -> Iterator[Held]:
    """Yield the groups whose keys match; in a value, `*` is any text and `?` any character.

    A label that the key lacks matches the empty value only.
    """
    wanted = [(name, value) for name, value in (("job", job), ("phase", phase), *labels) if value is not None]
    for held in groups:
        key = held.key
        if all(bool(key.get(name)) == bool(value) and _fits(key.get(name, ""), value) for name, value in wanted):
            yield held


def words(seconds: float) -> str:
    """Return a span of time in words, in the unit that says most."""
    if not math.isfinite(seconds):
        return "?"
    for unit, length, fewest in (("days", 86400, 2), ("h", 3600, 1), ("min", 60, 1)):
        if abs(seconds) >= fewest * length:
            return f"{int(abs(seconds) // length)} {unit}"
    return f"{int(abs(seconds))} s"


def ago(then: float | None, now: float) -> str:
    """Return how long ago a moment was, in words; another machine's clock may be ahead."""
    if not then:
        return ""
    ahead = then - now >= 1  # the gateway says its time in whole seconds
    return f"{words(then - now)} ahead" if ahead else f"{words(max(now - then, 0))} ago"


def _fits(value: str, pattern: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, value, re.DOTALL) is not None


def _group(labels: Mapping[str, str]) -> Group:
    """Return the key of a group, from the labels of its push time: an empty instance is the gateway's addition."""
    rest = sorted(labels.items() - {("instance", "")}, key=lambda label: (label[0] not in ("job", "phase"), label))
    return Group(tuple(rest))


def _by_job(group: Group) -> tuple[str, int, tuple[tuple[str, str], ...]]:
    key = dict(group.labels)
    phase = key.pop("phase", "")
    return key.pop("job", ""), PHASES.index(phase) if phase in PHASES else -1, group.labels
