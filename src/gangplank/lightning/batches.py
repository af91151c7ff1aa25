"""How many samples a batch holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

# Of a batch that holds more tensors, as many are looked at.
_MOST = 32


def size_of(batch: Any) -> int | None:
    """Return the first dimension that all tensors of a batch have, or None where they do not agree, or are none."""
    sizes = set(islice(_sizes(batch), _MOST))
    return sizes.pop() if len(sizes) == 1 else None


def _sizes(batch: Any) -> Iterator[int]:
    shape = getattr(batch, "shape", None)
    if shape is not None:
        if len(shape):
            yield int(shape[0])
    elif isinstance(batch, Mapping):
        for part in batch.values():
            yield from _sizes(part)
    elif isinstance(batch, list | tuple):
        for part in batch:
            yield from _sizes(part)
    elif dataclasses.is_dataclass(batch):
        for field in dataclasses.fields(batch):
            yield from _sizes(getattr(batch, field.name))
