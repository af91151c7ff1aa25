"""Where pages go: one file per destination."""

from __future__ import annotations

from typing import Protocol

from gangplank.core.page import Page


class Sink(Protocol):
    """A destination of pages."""

    def send(self, page: Page) -> None:
        """Replace what the destination shows of the page's group; called on the thread that sends.

        Raises:
            DeliveryError: it did not arrive within the sink's own deadline.
        """
