"""The groups of a gateway, and the check that keeps its page consistent."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress

from gangplank.core.version import VERSION
from gangplank.testing.gateway.exposition import NOT_UTF8, SUFFIXES, Family, Metric
from gangplank.testing.gateway.page import Labels, StoredFamily, lines_of, page

PUSHED = "push_time_seconds"
FAILED = "push_failure_time_seconds"
HELP = "Last Unix time when changing this group in the Pushgateway {}."

# A real gateway's families about itself. The default registries of clients have some of these names too, so pushing
# them is allowed, with this type.
OWN_KINDS = {
    "counter": """
        go_memstats_alloc_bytes_total go_memstats_frees_total go_memstats_lookups_total go_memstats_mallocs_total
        process_cpu_seconds_total pushgateway_http_requests_total
    """,
    "gauge": """
        go_goroutines go_info go_memstats_alloc_bytes go_memstats_buck_hash_sys_bytes go_memstats_gc_sys_bytes
        go_memstats_heap_alloc_bytes go_memstats_heap_idle_bytes go_memstats_heap_inuse_bytes go_memstats_heap_objects
        go_memstats_heap_released_bytes go_memstats_heap_sys_bytes go_memstats_last_gc_time_seconds
        go_memstats_mcache_inuse_bytes go_memstats_mcache_sys_bytes go_memstats_mspan_inuse_bytes
        go_memstats_mspan_sys_bytes go_memstats_next_gc_bytes go_memstats_other_sys_bytes
        go_memstats_stack_inuse_bytes go_memstats_stack_sys_bytes go_memstats_sys_bytes go_threads process_max_fds
        process_open_fds process_resident_memory_bytes process_start_time_seconds process_virtual_memory_bytes
        process_virtual_memory_max_bytes push_failure_time_seconds push_time_seconds pushgateway_build_info
    """,
    "summary": "go_gc_duration_seconds pushgateway_http_push_duration_seconds pushgateway_http_push_size_bytes",
}
OWN = {name: kind for kind, names in OWN_KINDS.items() for name in names.split()}
# A real gateway creates these with its first push, and refuses another HELP text for them.
OWN_HELP = {
    "pushgateway_http_push_duration_seconds": "HTTP request duration for pushes to the Pushgateway.",
    "pushgateway_http_push_size_bytes": "HTTP request size for pushes to the Pushgateway.",
    "pushgateway_http_requests_total": "Total HTTP requests processed by the Pushgateway, excluding scrapes.",
}


class InconsistentError(ValueError):
    """A push that is valid text but inconsistent in itself, or with what the gateway holds."""


class Store:
    """The groups of one gateway; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: dict[Labels, dict[str, StoredFamily]] = {}
        self._about = {"pushgateway_build_info": _build_info()}

    def push(self, key: Mapping[str, str], families: Mapping[str, Family], *, replace: bool) -> None:
        """Store a push as a whole, or raise InconsistentError and store only the time of the failure.

        The real gateway stores that time even if it breaks the page; here such a group is not created.
        """
        labels = tuple(sorted(key.items()))
        now = time.time()
        with self._lock:
            group = self._groups.get(labels, {})
            try:
                self._put(labels, _changed(labels, group, families, now, replace=replace))
            except InconsistentError:
                with suppress(InconsistentError):
                    never, failed = _stamp(PUSHED, labels, 0), _stamp(FAILED, labels, now)
                    self._put(labels, {PUSHED: never} | group | {FAILED: failed})
                raise

    def delete(self, key: Mapping[str, str]) -> None:
        """Delete the group with exactly this key, if there is one."""
        with self._lock:
            self._groups.pop(tuple(sorted(key.items())), None)

    def page(self) -> str:
        """Return the text that Prometheus scrapes."""
        with self._lock:
            return page([self._about, *self._groups.values()])

    def _put(self, labels: Labels, group: dict[str, StoredFamily]) -> None:
        others = [(key, other) for key, other in self._groups.items() if key != labels]
        kinds = dict(OWN)
        for member in (group, *(other for _, other in others)):
            for name, stored in member.items():
                if kinds.setdefault(name, stored.kind) != stored.kind:
                    raise InconsistentError(f'metric family "{name}" has type {stored.kind} and type {kinds[name]}')
        _check_suffixes(kinds)
        for key, other in others:
            if _may_overlap(labels, key):
                for name in group.keys() & other.keys():
                    if not group[name].series.keys().isdisjoint(other[name].series):
                        raise InconsistentError(f'metric "{name}" is in group {dict(key)} with the same label values')
        self._groups[labels] = group


def _changed(
    labels: Labels,
    group: Mapping[str, StoredFamily],
    families: Mapping[str, Family],
    now: float,
    *,
    replace: bool,
) -> dict[str, StoredFamily]:
    """Return a group after a push; the gateway replaces a pushed push time, and in the first push a failure time."""
    if any(metric.stamped for family in families.values() for metric in family.metrics):
        raise InconsistentError("pushed metrics must not have timestamps")
    stays = {name: stored for name, stored in group.items() if not replace or name in (PUSHED, FAILED)}
    ours = {PUSHED: _stamp(PUSHED, labels, now)}
    if FAILED not in group:
        ours[FAILED] = _stamp(FAILED, labels, 0)
    return stays | {name: _stored(family, labels) for name, family in families.items() if name not in ours} | ours


def _stored(family: Family, grouping: Labels) -> StoredFamily:
    """Add the grouping labels to every metric of a family, and an empty `instance` if it has none."""
    kind = family.kind or "untyped"
    if OWN_HELP.get(family.name, family.help) != family.help:
        raise InconsistentError(f'metric family "{family.name}" is the gateway\'s own and has another help text')
    series: dict[Labels, str] = {}
    for metric in family.metrics:
        labels = {"instance": ""} | metric.labels | dict(grouping)
        key = tuple(sorted(labels.items()))
        if key in series:
            raise InconsistentError(f'metric "{family.name}" is pushed twice with the label values {labels}')
        if kind == "summary" and "quantile" in labels:
            raise InconsistentError(f'summary "{family.name}" must not have an explicit "quantile" label')
        if any(name.startswith("__") for name in labels):
            raise InconsistentError(f'metric "{family.name}" has a label with an invalid name')
        if any(NOT_UTF8.search(value) for value in labels.values()):
            raise InconsistentError(f'metric "{family.name}" has a label whose value is not UTF-8')
        series[key] = lines_of(family.name, kind, key, metric)
    return StoredFamily(kind, family.help, series)


def _check_suffixes(kinds: Mapping[str, str]) -> None:
    for name in kinds:
        base, _, suffix = name.rpartition("_")
        if suffix in SUFFIXES.get(kinds.get(base, ""), ()):
            raise InconsistentError(f'metric "{name}" collides with the {kinds[base]} "{base}"')


def _may_overlap(one: Labels, other: Labels) -> bool:
    """Return whether two groups can hold the same series; they cannot if a label has different values in them."""
    known = dict(other)
    return all(known.get(name, value) == value for name, value in one)


def _stamp(name: str, labels: Labels, seconds: float) -> StoredFamily:
    text = HELP.format("succeeded" if name == PUSHED else "failed")
    return _stored(Family(name, "gauge", text, [Metric({}, seconds)]), labels)


def _build_info() -> StoredFamily:
    labels = (("version", f"gangplank {VERSION}"),)
    lines = lines_of("pushgateway_build_info", "gauge", labels, Metric({}, 1))
    return StoredFamily("gauge", "A metric with the constant value 1: the version of this gateway.", {labels: lines})
