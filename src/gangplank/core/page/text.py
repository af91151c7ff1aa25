"""Prometheus' text format 0.0.4, for every destination: the lines of prometheus_client, in a fraction of its time.

A page is written once, into a block for each family; to show several pages as one, only the blocks are joined.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import NamedTuple, TypeVar

from prometheus_client.utils import floatToGoString

from gangplank.core.page.families import Family, Histogram, sample_name, upper_bounds

# prometheus_client has a constant for it only from 0.23 on.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Seconds of work after which another thread may run. Python would let it wait for 5 ms.
_TURN = 0.001
# From here on prometheus_client writes an exponent.
_LARGE = 1_000_000

T = TypeVar("T")


class Block(NamedTuple):
    """A family as text.

    Attributes:
        name, type, help: of the family.
        lines: its samples, some in each item, each with a line feed at the end.
    """

    name: str
    type: str
    help: str
    lines: Sequence[bytes]

    def header(self) -> bytes:
        """Return the lines that come before those of the samples."""
        name = sample_name(self.name, self.type)
        text = self.help.replace("\\", r"\\").replace("\n", r"\n")
        return f"# HELP {name} {text}\n# TYPE {name} {self.type}\n".encode()


def write(families: Iterable[Family], labels: Mapping[str, str]) -> Iterator[Block]:
    """Yield the families as text, each sample with these labels too."""
    common = _texts(labels)
    for family in in_turns(families):
        lines_of = _Lines(sample_name(family.name, family.type), common)
        lines = [lines_of(own, value).encode() for own, value in in_turns(family.values)]
        yield Block(family.name, family.type, family.help, lines)


def join(blocks: Iterable[Block]) -> bytes:
    """Return the text of all blocks, each family once; if a name has two types, only the first type is shown."""
    families: dict[str, list[Block]] = {}
    for block in in_turns(blocks):
        same = families.setdefault(block.name, [])
        if not same or same[0].type == block.type:
            same.append(block)
    parts: list[bytes] = []
    for same in in_turns(families.values()):
        parts.append(same[0].header())
        for block in same:
            parts += block.lines
    return b"".join(parts)


def in_turns(items: Iterable[T]) -> Iterator[T]:
    """Yield the items; every half millisecond, let another thread run, such as the training thread."""
    began = time.perf_counter()
    for item in items:
        yield item
        if time.perf_counter() - began > _TURN:
            time.sleep(0)
            began = time.perf_counter()


class _Lines:
    """Writes the values of one family. Histograms share a template: only own labels and numbers are written anew.

    Args:
        name: of its samples, or what their names begin with.
        common: the texts of the labels that all values have.
    """

    def __init__(self, name: str, common: Mapping[str, str]) -> None:
        self._name = name
        self._common = common
        self._templates: dict[tuple[tuple[str, ...], tuple[float, ...], bool], str] = {}

    def __call__(self, own: Mapping[str, str], value: float | Histogram) -> str:
        """Return the lines of one value with its own labels; of a name that all values have, the common one counts."""
        texts = _texts(own)
        if not isinstance(value, Histogram):
            return f"{self._name}{_braces({**texts, **self._common})} {_number(value)}\n"
        texts = {name: text for name, text in texts.items() if name not in self._common}
        total = value.counts[-1]
        key = tuple(texts), value.edges, total < _LARGE
        if key not in self._templates:
            self._templates[key] = self._template(*key)
        counts = value.counts if total < _LARGE else map(_number, value.counts)
        numbers = (*counts, _number(value.sum), _number(total))
        filled = chain.from_iterable(zip(*map(repeat, texts.values()), numbers, strict=False))
        return self._templates[key] % tuple(filled)

    def _template(self, own: tuple[str, ...], edges: tuple[float, ...], whole: bool) -> str:  # noqa: FBT001
        """Return the lines of a histogram, each with places for the texts of its own labels and for a number."""
        common = {label: text.replace("%", "%%") for label, text in self._common.items()}
        texts = {**dict.fromkeys(own, "%s"), **common}
        count = "%d.0" if whole else "%s"
        bounds = [_braces({**texts, **_texts({"le": bound})}) for bound in upper_bounds(edges)]
        buckets = [f"{self._name}_bucket{bound} {count}\n" for bound in bounds]
        return "".join([*buckets, *(f"{self._name}_{part}{_braces(texts)} %s\n" for part in ("sum", "count"))])


def _braces(texts: Mapping[str, str]) -> str:
    """Return labels as prometheus_client writes them: sorted by name."""
    return "{" + ",".join([texts[label] for label in sorted(texts)]) + "}" if texts else ""


def _texts(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the text of each label by its name, sorted by name."""
    return {name: f'{name}="{_escaped(value)}"' for name, value in sorted(labels.items())}


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(number: float) -> str:
    """Return the value of a sample as prometheus_client writes it."""
    if type(number) is int and 0 <= number < _LARGE:
        return f"{number}.0"
    text: str = floatToGoString(number)  # type: ignore[no-untyped-call]
    return text
