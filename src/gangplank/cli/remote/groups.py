"""The groups on a gateway, as its page shows them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gangplank.core.labels import PHASES
from gangplank.core.log import one_line
from gangplank.core.page.page import RUNNING
from gangplank.core.types import Group

# A heartbeat is sent once a minute; after three missed ones, the process may be dead.
FRESH_SECONDS = 180
_LONGEST_DURATION = 1e11  # more seconds than this are the age of nothing


class Series(NamedTuple):
    """A sample of one of gangplank's families.

    Attributes:
        type: of the family: `gauge`, `counter`, `histogram` or `untyped`.
        name: of the sample, such as `gangplank_train_model_weights_bucket`.
        labels: those that are neither in the grouping key nor `run`, as they may be shown.
        value: the value.
    """

    type: str
    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class GatewayGroup:
    """A group on a gateway.

    Attributes:
        key: the grouping key: `job`, `phase`, and the other labels by name.
        labels: those of the grouping key, as they may be shown.
        pushed_at, push_failed_at: when a push was last accepted and last refused: Unix time in seconds by the gateway's
            clock, 0 for never.
        run: the `run` label, or an empty string.
        series: the samples of gangplank's families.
    """

    key: Group
    labels: Mapping[str, str]
    pushed_at: float
    push_failed_at: float
    run: str = ""
    series: list[Series] = field(default_factory=list)

    def __str__(self) -> str:
        return ", ".join(f"{one_line(name)}={value!r}" for name, value in self.labels.items())

    @property
    def phase(self) -> str:
        """The phase in the grouping key, or an empty string."""
        return dict(self.key.labels).get("phase", "")

    @property
    def is_gangplanks(self) -> bool:
        """Whether gangplank pushed it. A group whose pushes were all refused has no samples: its phase decides."""
        return bool(self.series) or (not self.pushed_at and self.phase in PHASES)

    @property
    def has_run_metrics(self) -> bool:
        """Whether it has a `gangplank_run_*` metric, as every run of gangplank 0.6 has."""
        return any(series.name.startswith("gangplank_run_") for series in self.series)

    @property
    def state(self) -> str:
        """The state that the run has reported, or an empty string."""
        states = (s.labels.get("state", "") for s in self.series if s.name == "gangplank_run_state" and s.value)
        return one_line(", ".join(states))

    def run_value(self, name: str) -> float | None:
        """Return the value of `gangplank_run_<name>`, or None if there is no such sample."""
        return next((s.value for s in self.series if s.name == f"gangplank_run_{name}"), None)

    def heartbeat_age(self, now: float) -> float:
        """Return the age of the newest heartbeat in seconds.

        A heartbeat is from the trainer's clock, which may be ahead: it is never taken as newer than the newest push.
        """
        return now - min(self.pushed_at, self.run_value("heartbeat_timestamp_seconds") or self.pushed_at)

    def is_alive(self, now: float) -> bool:
        """Return whether its run says that it is running, and has a recent heartbeat."""
        return RUNNING in self.state and self.heartbeat_age(now) <= FRESH_SECONDS

    def describe_state(self, now: float) -> str:
        """Return the state of its run in words, or an empty string."""
        if not self.pushed_at:
            return "never accepted"
        if RUNNING in self.state and not self.is_alive(now):
            return f"{self.state}? ({format_duration(self.heartbeat_age(now))})"
        return self.state

    def describe_push(self, now: float) -> str:
        """Return when something was last pushed to it, in words."""
        if not self.pushed_at:
            return f"refused {format_age(self.push_failed_at, now)}"
        refused = ", a later one refused" if self.push_failed_at > self.pushed_at else ""
        return f"{format_age(self.pushed_at, now)}{refused}"


def matching(
    groups: Iterable[GatewayGroup],
    job: str | None,
    phase: str | None = None,
    labels: Iterable[tuple[str, str]] = (),
) -> Iterator[GatewayGroup]:
    """Yield the groups whose keys match all patterns; in a pattern, `*` is any text and `?` any character.

    A label that a key does not have matches the empty pattern only.

    Args:
        groups: the groups to choose from.
        job: the pattern for the job; None matches all.
        phase: the pattern for the phase; None matches all.
        labels: names of other labels, and their patterns.
    """
    patterns = [(name, value) for name, value in (("job", job), ("phase", phase), *labels) if value is not None]
    for group in groups:
        key = dict(group.key.labels)
        if all(
            bool(key.get(name)) == bool(pattern) and matching_text(key.get(name, ""), pattern)
            for name, pattern in patterns
        ):
            yield group


def format_duration(seconds: float) -> str:
    """Return a duration in its largest unit: `12 min`."""
    if not abs(seconds) < _LONGEST_DURATION:  # or it is NaN
        return "?"
    for unit, length, fewest in (("days", 86400, 2), ("h", 3600, 1), ("min", 60, 1)):
        if abs(seconds) >= fewest * length:
            return f"{int(abs(seconds) // length)} {unit}"
    return f"{int(abs(seconds))} s"


def format_age(then: float | None, now: float) -> str:
    """Return how long ago a time was: `12 min ago`; `12 min ahead`, if another machine's clock is ahead."""
    if not then:
        return ""
    ahead = then - now >= 1  # the gateway gives its time in whole seconds
    return f"{format_duration(then - now)} ahead" if ahead else f"{format_duration(max(now - then, 0))} ago"


def matching_text(value: str, pattern: str) -> bool:
    """Return whether a pattern matches all of a value; `*` is any text and `?` any character."""
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, value, re.DOTALL) is not None
