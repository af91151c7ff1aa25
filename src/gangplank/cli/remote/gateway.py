"""A Pushgateway: reading its page, and deleting its groups."""

from __future__ import annotations

import time
from collections.abc import Sequence

from gangplank.cli.remote.client import Client, Response
from gangplank.cli.remote.groups import GatewayGroup
from gangplank.cli.remote.reader import GroupsReader
from gangplank.core.errors import GangplankError
from gangplank.core.sinks.pushgateway import path_of
from gangplank.core.types import Group

# The gateway deletes after it has answered.
_DELETION_TIMEOUT = 2.0
# An empty value in a path. On the page, a key with an empty `instance` looks like one without `instance`.
_EMPTY = "@base64/="
_SUFFIXES = ("", f"/instance{_EMPTY}")


class GatewayClient(Client):
    """Reads a Pushgateway and deletes its groups; see `Client`."""

    def page(self) -> Response:
        """Return the gateway's page of metrics; raises as `get` does."""
        return self.get("/metrics")

    def describe_other(self, page: Response) -> str:
        """Return in words that this is the page of another server."""
        login = " (is a proxy or a login page in front of it?)" if page.text.lstrip().startswith("<") else ""
        return f"the server on {self} is not a Pushgateway{login}"

    def groups(self, reader: GroupsReader | None = None) -> tuple[list[GatewayGroup], Response]:
        """Return the groups on the gateway, sorted by job and phase, and the page that shows them.

        Args:
            reader: reads the page; by default, everything of it.

        Raises:
            GangplankError: the server cannot be reached, refuses, or is not a Pushgateway.
        """
        page = self.page()
        if "pushgateway_build_info" not in page.text:
            raise GangplankError(self.describe_other(page))
        return (reader or GroupsReader(self.strike)).read(page.text), page

    def delete_groups(self, groups: Sequence[GatewayGroup]) -> dict[Group, str]:
        """Delete these groups, one by one; return why, for each that could not be deleted, by its key."""
        failed: dict[Group, str] = {}
        left = list(groups)
        for suffix in _SUFFIXES:
            for group in left:
                if suffix and "instance" in group.labels:
                    continue
                try:
                    self.delete(_path(group.key) + suffix)
                except GangplankError as error:
                    failed[group.key] = str(error)
            left = self._still_there([group for group in left if group.key not in failed])
        return failed | {group.key: "the gateway still holds it" for group in left}

    def _still_there(self, groups: list[GatewayGroup]) -> list[GatewayGroup]:
        """Return the groups that are still on the gateway; one that was pushed to since does not count."""
        deadline = time.monotonic() + _DELETION_TIMEOUT
        while groups:
            present = {group.key: (group.pushed_at, group.push_failed_at) for group in self.groups()[0]}
            groups = [group for group in groups if present.get(group.key) == (group.pushed_at, group.push_failed_at)]
            if time.monotonic() > deadline:
                break
            time.sleep(0.05 if groups else 0)
        return groups


def _path(key: Group) -> str:
    """Return the path of a group's URL; unlike a run's own key, it may have empty values."""
    path = path_of(Group(tuple(label for label in key.labels if label[1])))
    return path + "".join(f"/{name}{_EMPTY}" for name, value in key.labels if not value)
