"""The newest page of every group, together on one page: for destinations that do not keep groups apart themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.registry import Collector

from gangplank.core.page import Page
from gangplank.core.snapshot import Group

# What all samples of a page are labelled with: job, phase, the user's labels and run.
Identity = frozenset[tuple[str, str]]

# Every page has this family, and each of its samples the page's identity and nothing more.
_TELLS = "gangplank_run_heartbeat_timestamp_seconds"


class Together(Collector):
    """Pages of several groups, each sample with its identity; one thread at a time puts, and any may collect.

    Args:
        families: what is shown already, as read from a text; what is no page of ours is left out.
    """

    def __init__(self, families: Iterable[Metric] = ()) -> None:
        self._shown = _pages(list(families))

    def put(self, page: Page) -> None:
        """Show this page in place of the one of its group before."""
        page = page.identified()
        others = {identity: shown for identity, shown in self._shown.items() if not _is_of(identity, page.group)}
        # Exchanged as a whole: who collects meanwhile sees the one or the other.
        self._shown = {frozenset(page.labels.items()): list(page.collect()), **others}

    def collect(self) -> Iterator[Metric]:
        """Yield each family once, with the samples of all pages; of two types that it has, the newest one's."""
        families: dict[str, Metric] = {}
        for shown in self._shown.values():
            for family in shown:
                whole = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                if whole.type == family.type:
                    whole.samples.extend(family.samples)
        yield from families.values()


def _is_of(identity: Identity, group: Group) -> bool:
    """Return whether this is the identity of a run of the group; one that is not in the key has `run` besides."""
    key = frozenset(group.labels)
    return key == identity or ({name for name, _ in identity - key} == {"run"} and key < identity)


def _pages(families: list[Metric]) -> dict[Identity, list[Metric]]:
    """Return the families of each page; a sample belongs to the one that has most labels in common with it."""
    pages: dict[Identity, list[Metric]] = {
        frozenset(sample.labels.items()): []
        for family in families
        for sample in family.samples
        if sample.name == _TELLS
    }
    for family in families:
        parts: dict[Identity, Metric] = {}
        for sample in family.samples:
            fitting = (identity for identity in pages if identity <= sample.labels.items())
            if identity := max(fitting, key=len, default=None):
                part = parts.setdefault(identity, Metric(family.name, family.documentation, family.type))
                part.samples.append(sample)
        for identity, part in parts.items():
            pages[identity].append(part)
    return pages
