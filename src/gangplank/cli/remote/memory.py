"""Remembering what was made of a text: a server shows the same ones again and again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

Made = TypeVar("Made")

# Texts that are remembered: those of twice as many runs as one server should have. Longer ones, which only a hostile
# server has, are not: they would fill the memory.
_MOST, _LONGEST = 50_000, 1_000


def remembering(function: Callable[..., Made]) -> Callable[..., Made]:
    """Return a function of texts that remembers the results of the last ones."""
    remembered = functools.lru_cache(_MOST)(function)

    @functools.wraps(function)
    def call(*texts: str) -> Made:
        return remembered(*texts) if max(map(len, texts)) <= _LONGEST else function(*texts)

    return call
