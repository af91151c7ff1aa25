"""A sink in memory, for tests of code that exports."""

from __future__ import annotations

from gangplank import Page


class MemorySink:
    """A sink that keeps every page in memory.

        memory = MemorySink()
        exporter = gangplank.Exporter("memory", "digits", sink=memory, ignore_exceptions=False)
        train(exporter)
        assert memory.value("gangplank_train_loss") == 0.25

    It is the `sink=` of an exporter, whatever the address. With `ignore_exceptions=False` each push is awaited, so that
    no page is skipped.

    Attributes:
        pages: every page, the newest last.
    """

    def __init__(self) -> None:
        self.pages: list[Page] = []

    def __call__(self, _address: str) -> MemorySink:
        """Return this sink."""
        return self

    def __str__(self) -> str:
        return "memory"

    def send(self, page: Page, timeout: float) -> None:  # noqa: ARG002  it takes no time
        """Keep a page."""
        self.pages.append(page)

    def close(self) -> None:
        """Do nothing: the pages are kept."""

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of a sample of the newest page, None if there is no such sample.

        Args:
            name: of the sample, such as `gangplank_train_loss`.
            labels: that the sample has, among others.
        """
        for family in self.pages[-1].collect() if self.pages else ():
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return None
