"""The group with the same series as a page: of a run of that name, exported with `concurrent=True`, or without."""

from __future__ import annotations

import re
import shlex

from gangplank.core.page.page import Page
from gangplank.core.sinks.address import Address
from gangplank.core.types import Group

# What a Pushgateway says of a series that another group has, and what the embedded one says.
_SAME_SERIES = re.compile("the same (?:name and )?label values")


def advice(page: Page, address: Address, reason: str) -> str:
    """Return why a gateway refuses a page whose series another group has, and what to do; an empty text otherwise.

    The `run` label is in the grouping key of a concurrent run, and in the samples of another one: the same series.

    Args:
        page: that was refused.
        address: of the gateway.
        reason: the response of the gateway.
    """
    twin = _twin_of(page)
    if twin is None or not _SAME_SERIES.search(reason):
        return ""
    how = "with" if "run" in dict(twin.labels) else "without"
    return (
        f"another group has the same series, probably {twin}, from a run of this name {how} concurrent=True: delete "
        f"that group (`{_deletion(twin, address)}`), or give run= another name"
    )


def _twin_of(page: Page) -> Group | None:
    key = dict(page.group.labels)
    if "run" in key:
        return Group(tuple((name, value) for name, value in key.items() if name != "run"))
    if "run" not in page.labels:
        return None
    rank = {"rank": key.pop("rank")} if "rank" in key else {}
    return Group(tuple({**key, "run": page.labels["run"], **rank}.items()))


def _deletion(group: Group, address: Address) -> str:
    """Return the command that deletes a group; it shows what it would delete, and asks."""
    key = {"run": "", **dict(group.labels)}
    words = ["gangplank", "delete", str(address), "--job", key.pop("job"), "--phase", key.pop("phase")]
    for name, value in key.items():
        words += ["--label", f"{name}={value}"]
    return shlex.join(words)
