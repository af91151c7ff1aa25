"""Where pages go: one file per destination."""

from __future__ import annotations

from typing import Protocol

from gangplank.core.page import Page


class Sink(Protocol):
    """A destination of pages, which shows the newest page of each group; as text, its address without credentials.

    Making one checks all that can be checked, and opens nothing. It is sent to from one thread at a time, off the
    training thread.
    """

    def send(self, page: Page, timeout: float) -> None:
        """Replace what the destination shows of the page's group, within `timeout` seconds.

        `page.group` is the grouping key, for a destination that has such keys; `page.identified()` has its labels on
        every sample. `collect()` gives the families, `text()` Prometheus' text format.

        Raises:
            DeliveryError: it did not arrive; it is sent again later, after a backoff.
        """

    def close(self) -> None:
        """Let go of what it holds open; another `send` may open it again."""
