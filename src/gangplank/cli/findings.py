"""What the checks of `gangplank doctor` find: each all right or not, with its cure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from gangplank.cli.client import CREDENTIALS
from gangplank.core.credentials import PREFIX
from gangplank.core.report import shown

_NAMED = 3
_DENIED = re.compile(r"\b(?:HTTP Error|answered) (401|403)\b")


@dataclass(frozen=True)
class Check:
    """What one check has found, and how to cure it."""

    check: str
    state: Literal["ok", "warning", "problem"]
    found: str
    cure: str = ""


Tell = Callable[[Check], None]


def refusal(check: str, said: str, *, sent: bool, cure: str = "") -> Check:
    """Return the check for what a server refused; that it wants to know who asks is said as such.

    Args:
        check: what was tried.
        said: why not.
        sent: whether credentials went with it.
        cure: of other refusals.
    """
    denied = _DENIED.search(said)
    if not denied:
        return Check(check, "problem", said, cure)
    who = "the credentials are refused" if sent else "credentials are wanted, and none were given"
    return Check(check, "problem", f"{who} ({denied[1]}): {said.partition(f'; give {PREFIX}')[0]}", CREDENTIALS)


def listed(things: Iterable[object]) -> str:
    """Return the first things as text, and how many more there are."""
    texts = [shown(thing, 150) for thing in things]
    more = f", and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return "; ".join(texts[:_NAMED]) + more
