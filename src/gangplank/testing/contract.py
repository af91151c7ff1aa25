"""The tests that every adapter must pass; `AdapterContract` says how to have them run."""

from __future__ import annotations

import copy
import importlib
import operator
import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import pytest

from gangplank import Page
from gangplank.core.plugins import register, unregister
from gangplank.testing import faulty
from gangplank.testing.announcement import AnnouncedAdapter, fail
from gangplank.testing.gateway import Gateway
from gangplank.testing.shown import ARRIVES, JOB, Epochs, Pages, differences, label, metric, soon, state

T = TypeVar("T")

EPOCHS = 3
# Seconds that a training may take with a faulty gateway, beyond twice the time that it takes without any.
SLACK = 5.0


class Crash(Exception):  # noqa: N818  it is what a training's own exception is like
    """What ends a training in the middle."""


def pickled(exporter: T) -> T:
    """Return the copy that another process would get."""
    loaded: T = pickle.loads(pickle.dumps(exporter))  # noqa: S301  our own
    return loaded


class AdapterContract(AnnouncedAdapter):
    """The tests of an adapter, with one method to write: how a user trains with it.

        from gangplank.testing import AdapterContract

        class TestLightGBM(AdapterContract):
            adapter = "lightgbm"

            def train(self, exporter, epochs, each_epoch):
                with exporter:
                    booster = lightgbm.train(..., epochs, callbacks=[exporter, lambda env: each_epoch(env.iteration)])
                return {"val_auc": booster.best_score["valid_0"]["auc"]}

    The adapter is installed (`pip install --editable .`), and announces itself through `gangplank_adapters`. Its
    exporter is called with an address, a job and options, all of which `gangplank.Run` knows: it hands them on.

    Attributes:
        adapter: the `Adapter.name` that is announced.
    """

    def train(self, exporter: Any, epochs: int, each_epoch: Callable[[int], None]) -> Mapping[str, float]:
        """Train as a user would, as small a model as there is: this is called some twenty times.

        Begin with the same seeds each time: the numbers of two trainings are compared.

        Args:
            exporter: of the adapter, to put into the training the way its documentation says.
            epochs: how many to train.
            each_epoch: to be called at the end of every epoch with its index, from inside the framework's loop. It
                raises where the training is to fail: let that through.

        Returns:
            The final values, from the framework itself and not from the adapter, by the names under which they are
            exported in phase train: `{"loss": 0.25}` for `gangplank_train_loss`.
        """
        raise NotImplementedError("write the method `train`, which trains with the exporter")

    def exporter(self, address: str, job: str, **options: Any) -> Any:
        """Return a new exporter, as announced; override it where making one takes more than an address and a job."""
        module, _, name = self.announced()[1].exporter.partition(":")
        return operator.attrgetter(name)(importlib.import_module(module))(address, job, **options)

    def become_rank(self, rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make this process one of several; override it where the framework does not go by `RANK`, as torchrun does."""
        monkeypatch.setenv("RANK", str(rank))

    @pytest.fixture
    def gateway(self) -> Iterator[Gateway]:
        """Lend an empty Pushgateway in memory."""
        with Gateway() as gateway:
            yield gateway

    def test_the_final_values_arrive_exactly(self, gateway: Gateway) -> None:
        """What the gateway shows is what the framework reports, as float64."""
        values = self._trained(self._exporter(gateway))
        if wrong := soon(lambda: differences(lambda name: metric(gateway, name), values)):
            fail(f"of what `train` returned, the gateway shows that {'; '.join(wrong)}: record the framework's own")

    def test_each_epoch_is_recorded_once(self) -> None:
        """From 1 to the last, in order."""
        recorded = Epochs()
        register(recorded)
        try:
            self._pages()
        finally:
            unregister(recorded)
        epochs = recorded.numbers
        if epochs != list(range(1, EPOCHS + 1)):
            fail(
                f"of {EPOCHS} epochs these were recorded, counted from 1: {epochs}. Call Run.record(..., epoch=index), "
                "its index counted from 0, once at the end of each epoch; what comes later is recorded without epoch="
            )

    def test_the_planned_epochs_are_shown(self) -> None:
        """From the first page on."""
        planned = [page.epochs_planned for page in self._pages()]
        if set(planned) != {EPOCHS}:
            fail(f"of {EPOCHS} epochs the pages plan {planned}: call Run.start(epochs=...) before Run.record")

    def test_a_training_that_ends_is_finished(self, gateway: Gateway) -> None:
        """Its last page has arrived when the training returns."""
        self._trained(self._exporter(gateway))
        if (found := state(gateway)) != "finished":
            fail(f"after the training the run is {found!r}: call Run.finish() when the framework is done")

    def test_the_framework_is_named(self, gateway: Gateway) -> None:
        """`gangplank_run_info` tells what runs."""
        self._trained(self._exporter(gateway))
        if soon(lambda: [] if label(gateway, "info", "framework") else ["not named"]):
            fail('gangplank_run_info has no label `framework`: give Run(info={"framework": ..., **the user\'s})')

    def test_each_training_is_a_run_of_its_own(self, gateway: Gateway) -> None:
        """One exporter serves one training after another."""
        exporter = self._exporter(gateway)
        self._trained(exporter)
        self._require_new_run(gateway, exporter, 'begin each training with a new run: `run = run.phase("train")`')

    @pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
    def test_a_copy_trains_and_delivers(self, gateway: Gateway, copied: Callable[[Any], Any]) -> None:
        """Tuners copy callbacks, launchers pickle them; also those that have trained."""
        exporter = self._exporter(gateway)
        self._trained(exporter)
        cure = "a gangplank.Run can be copied: leave the rest of what belongs to one training out, in __getstate__"
        try:
            other = copied(exporter)
        except Exception as error:  # noqa: BLE001  whatever cannot be copied
            fail(f"the exporter cannot be copied ({type(error).__name__}: {error}): {cure}")
        if other is exporter:
            fail(f"the copy is the exporter itself, and two trainings would share it: {cure}")
        self._require_new_run(gateway, other, cure)

    @pytest.mark.parametrize("gateway_is", [faulty.refusing, faulty.hung, faulty.rejecting])
    def test_a_faulty_gateway_leaves_the_training_alone(
        self, gateway_is: faulty.Faulty, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The same values, no exception, and no time to speak of."""
        began = time.monotonic()
        with monkeypatch.context() as patched:
            patched.setenv("GANGPLANK_DISABLED", "1")
            expected = self._trained(self._made("127.0.0.1:1"))
        limit = 2 * (time.monotonic() - began) + SLACK
        with gateway_is(limit + 1) as address:
            # A job of its own: what has not arrived is sent again later, to a port that may be another gateway's then.
            exporter = self._made(address, f"{JOB}-{gateway_is.__name__}", timeout=60.0, flush_timeout=0.5)
            began = time.monotonic()
            values = self._trained(exporter)
            took = time.monotonic() - began
        if took > limit:
            fail(f"the training took {took:.1f} s, and {limit:.1f} s are plenty: leave all sending to gangplank.Run")
        if wrong := differences(values.get, expected):
            fail(f"without a gateway, {'; '.join(wrong)}: seed `train`, and let the adapter change nothing")

    def test_an_exception_passes_and_leaves_failed(self, gateway: Gateway) -> None:
        """The training's own exception reaches the user as it is, and the gateway shows that the run failed."""
        crash = Crash("the contract ends this training")

        def each_epoch(epoch: int) -> None:
            if epoch == 1:
                raise crash

        try:
            self.train(self._exporter(gateway), EPOCHS, each_epoch)
        except Exception as error:
            if error is not crash:
                raise
        else:
            fail("each_epoch raised, and `train` returned: no hook may swallow an exception, nor __exit__ return True")
        if (found := state(gateway)) != "failed":
            fail(
                f"an exception ended the training, and the run is {found!r}: call Run.finish(error) in the framework's "
                "hook for exceptions, or in the __exit__ of the exporter where it has none"
            )

    def test_ranks_above_0_are_silent(self, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of the processes of one training, the first exports."""
        self.become_rank(1, monkeypatch)
        self._trained(self._exporter(gateway))
        if state(gateway) is not None:
            fail("rank 1 exports: give Run.start(rank=...) the rank that the framework knows, or none where it is RANK")

    def _exporter(self, gateway: Gateway) -> Any:
        return self._made(gateway.address, flush_timeout=ARRIVES)

    def _made(self, address: str, job: str = JOB, **options: Any) -> Any:
        try:
            return self.exporter(address, job, **options)
        except TypeError as error:
            error.add_note(f"an exporter takes all options of gangplank.Run and hands them on: {sorted(options)}")
            raise

    def _trained(self, exporter: Any) -> dict[str, float]:
        """Train, and check that `train` does what the tests build on."""
        ended: list[int] = []
        values = self.train(exporter, EPOCHS, ended.append)
        if ended != list(range(EPOCHS)):
            fail(f"`train` calls each_epoch with {ended}: call it with each index from 0 to epochs - 1, once")
        if not values:
            fail("`train` returns no values: return the final ones, as the framework itself reports them")
        return {name: float(number) for name, number in values.items()}

    def _pages(self) -> list[Page]:
        """Return all pages of a training, each of which was waited for."""
        pages = Pages()
        self._trained(self._made("contract", sink=lambda _address: pages, ignore_exceptions=False))
        return [page for page in pages.taken if page.phase == "train"]

    def _require_new_run(self, gateway: Gateway, exporter: Any, cure: str) -> None:
        before = label(gateway, "state", "run")
        values = self._trained(exporter)
        if soon(lambda: ["no new run"] if label(gateway, "state", "run") == before else []):
            fail(f"a training left the run of the one before on the gateway: {cure}")
        if missing := soon(lambda: [name for name in values if metric(gateway, name) is None]):
            fail(f"a training after another did not deliver {missing}: {cure}")
