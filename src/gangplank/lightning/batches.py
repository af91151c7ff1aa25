"""The batches of an epoch or evaluation, and the samples in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from itertools import islice
from typing import Any

# How many tensors of a batch, and items of a sequence in it, are looked at; of a larger batch, the others are not.
_MOST = 32
_MOST_PARTS = 1_000
_SEQUENCES = (list, tuple)


def size_of(batch: Any) -> int | None:
    """Return the first dimension that all tensors of a batch share; None if they differ, or there are none."""
    sizes: list[int] = []
    parts = [batch]
    for _ in range(_MOST_PARTS):  # a batch may contain itself
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


class Samples:
    """Counts batches, and the samples in them.

    Attributes:
        batches: so far.
        samples: in them; None if those of one batch are unknown.
    """

    def __init__(self) -> None:
        self.batches = 0
        self.samples: int | None = 0

    def count(self, batch: Any) -> None:
        """Count a batch and its samples."""
        self.batches += 1
        size = size_of(batch)
        self.samples = None if size is None or self.samples is None else self.samples + size
