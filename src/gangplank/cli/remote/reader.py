"""Reading the groups on a gateway's pages, one page after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from gangplank.cli.remote.groups import GatewayGroup, Series
from gangplank.cli.remote.memory import remembering
from gangplank.cli.remote.samples import Samples, parse_labels, parse_line, read_samples
from gangplank.core.errors import GangplankError
from gangplank.core.labels import PHASES
from gangplank.core.log import describe, one_line
from gangplank.core.types import Group

_TIMES = ("push_time_seconds", "push_failure_time_seconds")
_LONGEST_REASON = 150


class GroupsReader:
    """Reads the groups on pages of a gateway. Of a page, it parses the lines that the page before did not have.

    The page does not say which group a sample is from: it is assigned to the matching group with the longest key.

    Args:
        strike: removes from the value of a label what must not be shown; see `Client.strike`.
        wanted: tells by the name of a sample of gangplank's whether the groups shall have it.
    """

    def __init__(self, strike: Callable[[str], str] = str, wanted: Callable[[str], bool] = lambda _: True) -> None:
        self._strike = strike
        self._wanted = wanted
        self._key = remembering(lambda labels: _key(parse_labels(labels)))
        self._begin(set())

    def _begin(self, keys: set[Group]) -> None:
        """Forget the lines and labels of other pages, which may belong to other groups now."""
        self._keys = keys
        self._shown = remembering(self._strike)
        self._groups = [(key, self._labels(key.labels)) for key in sorted(keys, key=_by_job)]
        self._indices = {key.labels: index for index, (key, _) in enumerate(self._groups)}
        shapes = {tuple(name for name, _ in key.labels) for key in keys}
        self._shapes = sorted(sorted(shapes), key=len, reverse=True)  # of equally long ones, always the same first
        self._place = remembering(self._find)
        # Those of a type and name: by the line, what is in it, and the index of its group and the run.
        self._known: dict[tuple[str, str], dict[str, tuple[int | None, str, Series]]] = {}

    def read(self, page: str) -> list[GatewayGroup]:
        """Return the groups that a gateway's `/metrics` shows, sorted by job and phase.

        Raises:
            GangplankError: the page is not valid, or is not what a Pushgateway shows.
        """
        try:
            return self._read(page)
        except ValueError as error:
            why = one_line(self._strike(describe(error)), _LONGEST_REASON)  # half a secret would not be struck
            raise GangplankError(f"the gateway's page cannot be parsed: {why}") from None

    def _read(self, page: str) -> list[GatewayGroup]:
        times: dict[str, dict[Group, float]] = {name: {} for name in _TIMES}
        samples = []
        for some in read_samples(page, lambda name: name in times or self._is_wanted(name)):
            if some.name in times:
                times[some.name] |= {self._key(labels): value for labels, value in map(parse_line, some.lines)}
            else:
                samples.append(some)
        pushed_at, push_failed_at = times.values()
        if pushed_at.keys() != self._keys:
            self._begin(set(pushed_at))
        runs = [labels.get("run", "") for _, labels in self._groups]
        series: list[list[Series]] = [[] for _ in runs]
        known, self._known = self._known, {}
        for some in samples:
            before = known.get((some.type, some.name), {})
            found = [before.get(line) or self._parse(some, line) for line in some.lines]
            self._known[some.type, some.name] = dict(zip(some.lines, found, strict=True))
            for index, run, one in found:
                if index is not None:
                    series[index].append(one)
                    runs[index] = runs[index] or run
        groups = [
            GatewayGroup(key, labels, pushed_at[key], push_failed_at.get(key, 0.0), run, its_series)
            for (key, labels), run, its_series in zip(self._groups, runs, series, strict=True)
        ]
        for group in groups:
            if not dict(group.key.labels).get("job") or not math.isfinite(group.pushed_at + group.push_failed_at):
                raise GangplankError(f"the gateway's page shows a group without a job or a time: {one_line(group)}")
        return groups

    def _is_wanted(self, name: str) -> bool:
        return name.startswith("gangplank_") and self._wanted(name)

    def _parse(self, samples: Samples, line: str) -> tuple[int | None, str, Series]:
        labels, value = parse_line(line)
        index, run, own = self._place(labels)
        return index, run, Series(samples.type, samples.name, own, value)

    def _find(self, as_shown: str) -> tuple[int | None, str, Mapping[str, str]]:
        """Return where samples with these labels belong: the index of a group, the run, and their other labels."""
        labels = parse_labels(as_shown)
        keys = (tuple([(name, labels.get(name, "")) for name in shape]) for shape in self._shapes)
        found = next((key for key in keys if key in self._indices), ())
        own = self._labels(labels.items() - {*found, ("instance", "")})
        return self._indices.get(found), own.pop("run", ""), own

    def _labels(self, labels: Iterable[tuple[str, str]]) -> dict[str, str]:
        return {name: self._shown(value) for name, value in labels}


def _key(labels: Mapping[str, str]) -> Group:
    """Return the key of a group, from the labels of its push time; the gateway adds an empty `instance`."""
    key = sorted(labels.items() - {("instance", "")}, key=lambda label: (label[0] not in ("job", "phase"), label))
    return Group(tuple(key))


def _by_job(key: Group) -> tuple[str, int, tuple[tuple[str, str], ...]]:
    labels = dict(key.labels)
    phase = labels.get("phase", "")
    return labels.get("job", ""), PHASES.index(phase) if phase in PHASES else -1, key.labels
