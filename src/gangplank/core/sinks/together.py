"""The newest page of every group, together on one page: for destinations that do not keep groups apart themselves."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import Metric
from prometheus_client.registry import Collector

from gangplank.core.page import Page
from gangplank.core.snapshot import Group

# Every page has this family, and each of its samples the page's identity and nothing more.
_IDENTITY = "gangplank_run_heartbeat_timestamp_seconds"


class Together(Collector):
    """Pages of several groups, each sample with its identity: job, phase, the user's labels and run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: dict[Group, Page] = {}
        self._others: list[Metric] = []

    def put(self, page: Page) -> None:
        """Show this page in place of the one of its group before."""
        with self._lock:
            self._pages[page.group] = page.identified()

    def keep(self, families: Iterable[Metric]) -> None:
        """Show also what others wrote: the samples of groups that are not among these pages."""
        families = list(families)
        identities = [sample.labels for family in families for sample in family.samples if sample.name == _IDENTITY]
        with self._lock:
            theirs = [labels for labels in identities if not any(_is_of(labels, group) for group in self._pages)]
            self._others = []
            for family in families:
                kept = Metric(family.name, family.documentation, family.type)
                kept.samples = [sample for sample in family.samples if _identity(sample.labels, identities) in theirs]
                self._others.append(kept)

    def collect(self) -> Iterator[Metric]:
        """Yield each family once, with the samples of all pages."""
        with self._lock:
            pages, others = list(self._pages.values()), self._others
        families: dict[str, Metric] = {}
        for family in [*others, *(family for page in pages for family in page.collect())]:
            whole = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            whole.samples.extend(family.samples)
        yield from families.values()


def _is_of(identity: Mapping[str, str], group: Group) -> bool:
    """Return whether this is the identity of a run of the group; one that is not in the key has `run` besides."""
    return dict(group.labels) in (dict(identity), {name: identity[name] for name in identity if name != "run"})


def _identity(labels: Mapping[str, str], identities: Iterable[Mapping[str, str]]) -> Mapping[str, str] | None:
    """Return which of the identities a sample has; of several, the one with the most labels."""
    fitting = (identity for identity in identities if identity.items() <= labels.items())
    return max(fitting, key=len, default=None)
