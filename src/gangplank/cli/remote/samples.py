"""The samples of a page in Prometheus' text format.

A gateway with a thousand runs shows 70,000, which prometheus_client's parser would read in 1.5 s. Here the page is cut
into lines, and the caller parses those that it has not seen before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from gangplank.testing.gateway.exposition import unescape

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
# As servers write it. That a name begins where no name could go on keeps a long text that is none from taking hours.
_LABEL = re.compile(r'(?<![a-zA-Z0-9_])([a-zA-Z_][a-zA-Z0-9_]*)="([^"\\]*(?:\\["\\n][^"\\]*)*)"')
_TYPE = re.compile(r"# TYPE (\S+) (\S+)")
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}


class Samples(NamedTuple):
    """The samples of one name, in one family.

    Attributes:
        type: of the family: `gauge`, `counter`, `histogram`, or `untyped` if the page does not say.
        name: of the samples.
        lines: of the page, which `parse_line` parses.
    """

    type: str
    name: str
    lines: list[str]


def read_samples(page: str, wanted: Callable[[str], bool]) -> Iterator[Samples]:
    """Yield the samples whose names are wanted.

    Raises:
        ValueError: a line does not begin with the name of a metric.
    """
    family, its_type = "", "untyped"
    for block in _blocks(page):
        comment, _, text = block.partition("\n") if block.startswith("#") else ("", "", block)
        if found := _TYPE.fullmatch(comment):
            family, its_type = found.groups()
        text = text.removesuffix("\n")
        if not text:
            continue
        names = [family + suffix for suffix in _SUFFIXES.get(its_type, ("",))]
        starts = {f"{name}{{": name for name in names if wanted(name)}
        if found and not starts and text.startswith(family) and text[text.rfind("\n") + 1 :].startswith(family):
            continue
        lines = text.split("\n")
        if family and sum(f"\n{text}".count(f"\n{name}{{") for name in names) == len(lines):
            for start, name in starts.items():
                its_own = [line for line in lines if line.startswith(start)] if len(names) > 1 else lines
                yield Samples(its_type, name, its_own)
        else:  # some lines have no labels, or have other names
            by_name: dict[str, list[str]] = {}
            for line in filter(None, lines):
                by_name.setdefault(_name_of(line), []).append(line)
            for name, its_lines in by_name.items():
                if wanted(name):
                    yield Samples(its_type if name.startswith(family) else "untyped", name, its_lines)


def _blocks(page: str) -> Iterator[str]:
    """Yield the page in parts: each comment with the lines after it. A label may contain other line breaks."""
    begin, at = 0, page.find("#")  # one character is found much faster than two
    while at >= 0:
        if page[at - 1 : at] in ("", "\n"):
            yield page[begin:at]
            begin = at
        at = page.find("#", at + 1)
    yield page[begin:]


def _name_of(line: str) -> str:
    name = line.partition("{")[0] if "{" in line else line.partition(" ")[0]
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a metric")
    return name


def parse_line(line: str) -> tuple[str, float]:
    """Return what is between the braces, which `parse_labels` parses, and the value.

    Raises:
        ValueError: the line is not valid.
    """
    beginning, closed, rest = line.rpartition("}")
    _, opened, labels = beginning.partition("{") if closed else line.partition("{")
    if opened and not closed:
        raise ValueError(f"{line!r} has a brace that is not closed")
    value, *_ = (rest if closed else line.partition(" ")[2]).split()  # a timestamp may follow
    return labels, float(value)


def parse_labels(text: str) -> dict[str, str]:
    """Return labels by name; raises ValueError if the text is not valid."""
    found: list[tuple[str, str]] = _LABEL.findall(text)
    if ",".join([f'{name}="{value}"' for name, value in found]) != text:
        raise ValueError(f"{{{text}}} are not labels")
    labels = {name: unescape(value) for name, value in found} if "\\" in text else dict(found)
    if len(labels) < len(found):
        raise ValueError(f"{{{text}}} have one label twice")
    return labels
