"""How many samples a batch holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from itertools import islice
from typing import Any

# Of a batch that holds more tensors, and of a sequence in it that holds more of anything, as many are looked at.
_MOST = 32
_MOST_PARTS = 1_000
_SEQUENCES = (list, tuple)


def size_of(batch: Any) -> int | None:
    """Return the first dimension that all tensors of a batch have, or None where they do not agree, or are none."""
    sizes: list[int] = []
    parts = [batch]
    for _ in range(_MOST_PARTS):  # a batch may hold itself
        if not parts or len(sizes) == _MOST:
            break
        part = parts.pop()
        shape = getattr(part, "shape", None)
        if shape is not None:
            sizes += shape[:1]
        elif isinstance(part, _SEQUENCES):
            parts += part[:_MOST]
        elif isinstance(part, Mapping):
            parts += islice(part.values(), _MOST)
        elif dataclasses.is_dataclass(part):
            parts += (getattr(part, field.name) for field in dataclasses.fields(part))
    return sizes[0] if sizes and sizes.count(sizes[0]) == len(sizes) else None
