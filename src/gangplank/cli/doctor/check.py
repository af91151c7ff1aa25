"""The result of one check of `gangplank doctor`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from gangplank.cli.remote.client import CREDENTIALS
from gangplank.core.log import one_line

_MOST_NAMED = 3
_DENIED = re.compile(r"\banswered (401|403)\b")


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        check: its name; several results may have the same.
        state: `problem` makes the exit code 1.
        found: what was found.
        fix: how to fix it, or an empty string.
    """

    check: str
    state: Literal["ok", "warning", "problem"]
    found: str
    fix: str = ""


#: Takes a result as soon as it is there.
Report = Callable[[Check], None]


def refused(check: str, error: Exception, *, authenticated: bool, fix: str = "") -> Check:
    """Return the check for a request that failed. If authentication failed, the fix is to give credentials.

    Args:
        check: the name of the check.
        error: why the request failed.
        authenticated: whether the request had credentials.
        fix: the fix for other failures.
    """
    message = str(error)
    denied = _DENIED.search(message)
    if not denied:
        return Check(check, "problem", message, fix)
    why = "the credentials are refused" if authenticated else "credentials are required, but none were given"
    return Check(check, "problem", f"{why}: {message.removesuffix(f'; {CREDENTIALS}')}", CREDENTIALS)


def first_few(things: Iterable[object]) -> str:
    """Return the first things as text, and how many more there are."""
    texts = [one_line(thing, 150) for thing in things]
    more = f", and {len(texts) - _MOST_NAMED} more" if len(texts) > _MOST_NAMED else ""
    return "; ".join(texts[:_MOST_NAMED]) + more
