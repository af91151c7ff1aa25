"""What Lightning's exporter sends, kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gangplank import Page
from gangplank.lightning import TrainTestExporter
from gangplank.testing import MemorySink


class Pages(MemorySink):
    """Every page, and some ways to look at them."""

    def of(self, phase: str) -> list[Page]:
        return [page for page in self.pages if page.phase == phase]

    @property
    def last(self) -> Page:
        return self.pages[-1]

    def seen(self, metric: str) -> list[tuple[int | None, float]]:
        """Return the values of a metric and the epochs that they are from, each once, in their order."""
        held = [page.metrics[metric] for page in self.pages if metric in page.metrics]
        return list(dict.fromkeys((one.epoch, one.value) for one in held))


def exporter(pages: Pages, **options: Any) -> TrainTestExporter:
    """Return an exporter to the pages, each of which is waited for."""
    return TrainTestExporter("here", "digits", sink=pages, ignore_exceptions=False, **options)


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(metric) for name, metric in metrics.items()}


def values(page: Page) -> dict[str, float]:
    return {name: metric.value for name, metric in page.metrics.items()}
