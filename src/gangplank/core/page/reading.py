"""Reads text that gangplank has written. Lines are checked and kept as they are: parsing them would take longer."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

from gangplank.core.page.text import Block, in_turns

_NAME, _VALUE = r"[a-zA-Z_:][\w:]*", r'[^"\\]*(?:\\[\\n"][^"\\]*)*'
_LABELS = re.compile(rf'({_NAME})="({_VALUE})"', re.ASCII)
_SAMPLE = re.compile(rf'{_NAME}(?:\{{{_NAME}="{_VALUE}"(?:,{_NAME}="{_VALUE}")*\}})? (\S+)\n', re.ASCII)
_HEADER = re.compile(rf"# HELP ({_NAME}) ([^\n]*)\n# TYPE \1 ([a-z]+)\n", re.ASCII)
_ESCAPE = re.compile(r'\\([\\n"])')


def read(text: bytes) -> Iterator[tuple[Block, str]]:
    """Yield the lines of the samples, each with its family, a block without lines.

    Raises:
        ValueError: it is not a text that `join` has returned.
    """
    family = None
    lines = in_turns(io.BytesIO(text))
    for line in lines:
        if line.startswith(b"# HELP "):
            family = _family(line.decode() + next(lines, b"").decode())
        elif family is None or not (sample := _SAMPLE.fullmatch(line.decode())):
            raise ValueError(f"not a sample of a family: {line!r:.100}")
        else:
            float(sample[1])
            yield family, sample[0]


def labels_of(line: str) -> frozenset[tuple[str, str]]:
    """Return the labels of a sample, as name and value."""
    labels: list[tuple[str, str]] = _LABELS.findall(line)
    return frozenset((name, _unescaped(value)) for name, value in labels) if "\\" in line else frozenset(labels)


def _family(header: str) -> Block:
    if not (found := _HEADER.fullmatch(header)):
        raise ValueError(f"not the header of a family: {header!r:.100}")
    name, help_text, kind = found.groups()
    return Block(name.removesuffix("_total") if kind == "counter" else name, kind, _unescaped(help_text), ())


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[1], text)
