"""What a destination of pages must be able to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gangplank.core.page.page import Page


class Sink(Protocol):
    """A destination, which shows the newest page of each group. `str(sink)` is its address without credentials.

    Its constructor checks the arguments and does not connect. `send` is called by one thread at a time, never by the
    training thread.
    """

    def send(self, page: Page, timeout: float) -> None:
        """Show the page in place of the earlier one of its group.

        `page.text()` is the page in Prometheus' text format, and `page.collect()` yields its families as
        objects of prometheus_client. `page.group` is the grouping key, which is not among the samples' labels: a
        destination without grouping keys uses `page.identified()`, which adds it to them.

        Args:
            page: the newest page of a run.
            timeout: seconds that this may take.

        Raises:
            DeliveryError: the page did not arrive. The newest page is sent again after a backoff, unless
                `retry=False`.
        """

    def close(self) -> None:
        """Close what is open; another `send` may open it again."""


class Handler(Protocol):
    """A `handler` as prometheus_client's `push_to_gateway` takes it."""

    def __call__(
        self, url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
    ) -> Callable[[], None]:
        """Return a callable that sends the request."""
