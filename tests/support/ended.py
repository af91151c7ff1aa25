"""How runs have ended, by the pages that were sent of them."""

from __future__ import annotations

from typing import NamedTuple

from gangplank.testing import MemorySink


class Shown(NamedTuple):
    """What the last page of a run shows."""

    state: str
    epoch: int | None
    planned: int | None


def runs(memory: MemorySink, phase: str = "train") -> list[Shown]:
    """Return what was shown last of each run, in the order in which they began."""
    pages = {page.labels["run"]: page for page in memory.pages if page.phase == phase}
    in_order = sorted(pages.values(), key=lambda page: page.started)
    return [Shown(page.state, page.newest.epoch, page.newest.epochs_planned) for page in in_order]
