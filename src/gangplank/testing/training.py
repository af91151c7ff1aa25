"""How an adapter is trained with, in the tests of the contract."""

from __future__ import annotations

import importlib
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from gangplank import Page
from gangplank.testing.announcement import AnnouncedAdapter, fail
from gangplank.testing.gateway import Gateway
from gangplank.testing.memory import MemorySink
from gangplank.testing.shown import ARRIVES, JOB

EPOCHS = 3


class Crash(Exception):  # noqa: N818  it stands for any exception of a training run
    """Ends a training run in the middle."""


class TrainedAdapter(AnnouncedAdapter):
    """What a subclass of the contract writes or may override, and how the tests use it."""

    def train(self, exporter: Any, epochs: int, each_epoch: Callable[[int], None]) -> Mapping[str, float]:
        """Train a very small model, as a user would: this is called about forty times, once inside itself.

        Use the same seeds each time: the numbers of two training runs are compared.

        Args:
            exporter: of the adapter; use it as its documentation says.
            epochs: how many epochs to train.
            each_epoch: call it at the end of every epoch with its index, from inside the framework's loop. It raises
                if the training is to fail: do not catch that.

        Returns:
            The final values as the framework itself returns them, by the names that they are exported under:
            `{"loss": 0.25}` for `gangplank_train_loss`.
        """
        raise NotImplementedError("write the method `train`, which trains with the exporter")

    def train_nothing(self, exporter: Any) -> None:
        """Begin a training that has nothing left to do: by default, one of 0 epochs.

        Override it if the framework refuses that, such as with a resume whose epochs are all done.
        """
        self.train(exporter, 0, lambda _: None)

    def train_steps(self, exporter: Any, steps: int) -> Mapping[str, float]:  # noqa: ARG002  it is overridden
        """Train so many steps, in a few epochs at most, and have the framework log in each of them.

        Override it if the framework logs by steps; otherwise, a test is skipped.

        Returns:
            What the framework logged in the last step, as `train` does.
        """
        pytest.skip(f"nothing trains {steps} steps: if the framework logs by steps, override `train_steps`")

    def evaluate(self, exporter: Any) -> Mapping[str, float]:  # noqa: ARG002  it is overridden
        """Evaluate a very small model that is not being trained, as a user would.

        Override it if the adapter exports evaluations; otherwise, a test is skipped.

        Returns:
            The values as the framework itself returns them: `{"loss": 0.25}` for `gangplank_test_loss`, or for
            `gangplank_validate_loss`.
        """
        pytest.skip("nothing is evaluated: if the adapter exports evaluations, override `evaluate`")

    def exporter(self, address: str, job: str, **options: Any) -> Any:
        """Return a new exporter, as announced; override it if making one takes more than an address and a job."""
        module, _, name = self.announced()[1].exporter.partition(":")
        return operator.attrgetter(name)(importlib.import_module(module))(address, job, **options)

    def become_rank(self, rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """Give this process a rank; override it if the framework does not read `RANK`, which torchrun sets."""
        monkeypatch.setenv("RANK", str(rank))

    @pytest.fixture
    def gateway(self) -> Iterator[Gateway]:
        """Yield an empty in-memory Pushgateway."""
        with Gateway() as gateway:
            yield gateway

    def _exporter(self, gateway: Gateway) -> Any:
        return self._made(gateway.address, flush_timeout=ARRIVES)

    def _exporter_to(self, memory: MemorySink, **options: Any) -> Any:
        """Return an exporter of which each push that is not to wait arrives, so that none is skipped."""
        return self._made("memory", sink=memory, ignore_exceptions=False, **options)

    def _made(self, address: str, job: str = JOB, **options: Any) -> Any:
        try:
            return self.exporter(address, job, **options)
        except TypeError as error:
            error.add_note(f"an exporter takes all options of gangplank.Exporter and passes them on: {sorted(options)}")
            raise

    def _trained(
        self, exporter: Any, epochs: int = EPOCHS, each_epoch: Callable[[int], None] = lambda _: None
    ) -> dict[str, float]:
        """Train, and check that `train` does what the tests need."""
        ended: list[int] = []

        def end_epoch(epoch: int) -> None:
            ended.append(epoch)
            each_epoch(epoch)

        values = self.train(exporter, epochs, end_epoch)
        if ended != list(range(epochs)):
            fail(f"`train` called each_epoch with {ended}: call it with each index from 0 to epochs - 1, once")
        if not values:
            fail("`train` returned no values: return the final ones, as the framework itself reports them")
        return {name: float(number) for name, number in values.items()}

    def _pages(self, epochs: int = EPOCHS, **options: Any) -> list[Page]:
        """Return all pages of a training run."""
        memory = MemorySink()
        self._trained(self._exporter_to(memory, **options), epochs)
        return [page for page in memory.pages if page.phase == "train"]
