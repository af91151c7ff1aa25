"""The samples of a page in Prometheus' text format.

A gateway with a thousand runs shows 70,000, and most of its lines have labels that other lines have, too: the labels
are parsed once. prometheus_client's parser takes 20 microseconds a line.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from gangplank.testing.gateway.exposition import unescape

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="([^"\\]*(?:\\["\\n][^"\\]*)*)"')  # as servers write it
_TYPE = re.compile(r"# TYPE (\S+) (\S+)")


class Sample(NamedTuple):
    """A line of the page.

    Attributes:
        type: of its family: `gauge`, `counter`, `histogram`, or `untyped` if the page does not say.
        name: of the sample.
        labels: what is between the braces; `parse_labels` parses it.
        value: the value.
    """

    type: str
    name: str
    labels: str
    value: float


def read_samples(page: str, wanted: Callable[[str], bool]) -> Iterator[Sample]:
    """Yield the samples whose names are wanted; of other lines, only the beginning is looked at.

    Raises:
        ValueError: a line is not valid.
    """

    @functools.cache
    def is_wanted(name: str) -> bool:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r:.100} is not the name of a metric")
        return wanted(name)

    family, its_type = "", "untyped"
    for line in page.split("\n"):  # a label may contain other line breaks
        if line.startswith("#"):
            if found := _TYPE.fullmatch(line):
                family, its_type = found.groups()
            continue
        name, brace, rest = line.partition("{")
        if not brace:
            name, _, rest = line.partition(" ")
        if not line or not is_wanted(name):
            continue
        labels, closed, rest = rest.rpartition("}")
        value, *_ = rest.split()  # a timestamp may follow
        if brace and not closed:
            raise ValueError(f"{line!r:.100} has a brace that is not closed")
        yield Sample(its_type if name.startswith(family) else "untyped", name, labels, float(value))


def parse_labels(text: str) -> dict[str, str]:
    """Return labels by name; raises ValueError if the text is not valid."""
    found: list[tuple[str, str]] = _LABEL.findall(text)
    if ",".join([f'{name}="{value}"' for name, value in found]) != text:
        raise ValueError(f"{{{text:.100}}} are not labels")
    labels = {name: unescape(value) for name, value in found} if "\\" in text else dict(found)
    if len(labels) < len(found):
        raise ValueError(f"{{{text:.100}}} have one label twice")
    return labels
