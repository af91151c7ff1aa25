"""The newest page of every group, shown as one page: for destinations without groups."""

from __future__ import annotations

from collections.abc import Iterator

from gangplank.core.page.page import Page
from gangplank.core.page.reading import labels_of, read
from gangplank.core.page.text import Block, in_turns, join
from gangplank.core.types import Group

# The labels that all samples of a page have: job, phase, the user's labels and run.
Identity = frozenset[tuple[str, str]]

# Every page has this family, and its one sample has the labels of the page's identity and no others.
_IDENTIFYING = "gangplank_run_heartbeat_timestamp_seconds"
# Lines that are joined in one go: another thread waits meanwhile.
_JOINED = 1_000


class Together:
    """Pages of several groups, each sample labelled with its identity.

    One thread at a time may call `put`, while any number of threads read the text. The text of a page is made by `put`;
    to show it, it is only joined with the texts of the others.

    Args:
        text: what is shown from the start, as `text` returned it, possibly in another process. Samples that do not
            belong to a page are left out.

    Raises:
        ValueError: it is not a text that `text` has returned.
    """

    def __init__(self, text: bytes = b"") -> None:
        self._shown = _pages(text)

    def put(self, page: Page) -> None:
        """Show this page in place of the earlier one of its group."""
        page = page.identified()
        blocks = list(page.blocks())
        others = {identity: shown for identity, shown in self._shown.items() if not _is_of(identity, page.group)}
        # All at once: another thread reads the old pages or the new ones.
        self._shown = {frozenset(page.labels.items()): blocks, **others}

    def text(self) -> bytes:
        """Return all pages in Prometheus' text format, each family once; if a name has two types, the newest one."""
        return join(block for blocks in self._shown.values() for block in blocks)


def _is_of(identity: Identity, group: Group) -> bool:
    """Return whether this is the identity of a run of the group: the group's labels, with or without `run`."""
    key = frozenset(group.labels)
    return key == identity or ({name for name, _ in identity - key} == {"run"} and key < identity)


def _pages(text: bytes) -> dict[Identity, list[Block]]:
    """Return the families of each page; a sample belongs to the page with which it has the most labels in common."""
    samples = list(read(text))
    pages: dict[Identity, dict[Block, list[str]]] = {
        labels_of(line): {} for family, line in in_turns(samples) if family.name == _IDENTIFYING
    }
    for family, line in in_turns(samples):
        labels = labels_of(line)
        if identity := max((identity for identity in pages if identity <= labels), key=len, default=None):
            pages[identity].setdefault(family, []).append(line)
    return {
        identity: [family._replace(lines=list(_joined(lines))) for family, lines in in_turns(families.items())]
        for identity, families in pages.items()
    }


def _joined(lines: list[str]) -> Iterator[bytes]:
    """Yield the lines as a few long texts."""
    for start in in_turns(range(0, len(lines), _JOINED)):
        yield "".join(lines[start : start + _JOINED]).encode()
