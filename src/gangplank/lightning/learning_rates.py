"""The learning rates of a Trainer's optimizers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any


def rates_of(optimizers: Iterable[Any]) -> list[list[Any]]:
    """Return the current learning rates, by optimizer and parameter group; None for a group without one.

    A scheduler changes a rate that is a tensor in place, so it is copied, on its device. Takes about a microsecond.
    """
    rates = []
    for optimizer in optimizers:
        of_groups: list[Any] = []
        for group in optimizer.param_groups:
            rate = group.get("lr")
            of_groups.append(rate.detach().clone() if hasattr(rate, "detach") else rate)
        rates.append(of_groups)
    return rates


def named(rates: Iterable[Iterable[Any]], optimizers: Iterable[Any]) -> dict[str, Any]:
    """Name learning rates as Lightning's LearningRateMonitor does, without its prefix `lr-`.

    That is `Adam`, `Adam-1` for a second Adam, `Adam/pg1` or `Adam/<its name>` for one parameter group of several. If
    two groups have one name, their places follow it: `Adam/<its name>/pg1`. A single rate is named "".
    """
    seen: Counter[str] = Counter()
    found: list[tuple[str, int, Any]] = []
    for optimizer, of_groups in zip(optimizers, rates, strict=False):
        kind = type(optimizer).__name__
        name = f"{kind}-{seen[kind]}" if seen[kind] else kind
        seen[kind] += 1
        for place, (group, rate) in enumerate(zip(optimizer.param_groups, of_groups, strict=False), start=1):
            part = group.get("name") or (f"pg{place}" if len(optimizer.param_groups) > 1 else "")
            if rate is not None:
                found.append((f"{name}/{part}" if part else name, place, rate))
    if len(found) == 1:
        return {"": found[0][2]}
    alike = Counter(name for name, _, _ in found)
    apart: dict[str, Any] = {}
    for name, place, rate in found:
        unused = name
        while alike[unused] > 1 or (unused != name and alike[unused]) or unused in apart:
            unused = f"{unused}/pg{place}"
        apart[unused] = rate
    return apart
