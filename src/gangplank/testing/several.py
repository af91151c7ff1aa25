"""The part of the contract about one exporter in several training runs."""

from __future__ import annotations

import contextlib
import copy
import pickle
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import pytest

from gangplank import ExportError
from gangplank.testing.announcement import fail
from gangplank.testing.gateway import Gateway
from gangplank.testing.memory import MemorySink
from gangplank.testing.shown import differences, evaluated, label, metric, position, soon, state
from gangplank.testing.training import EPOCHS, Crash, TrainedAdapter

T = TypeVar("T")


def pickled(exporter: T) -> T:
    """Return the copy that another process would receive."""
    loaded: T = pickle.loads(pickle.dumps(exporter))  # noqa: S301  our own
    return loaded


class SeveralTrainings(TrainedAdapter):
    """One exporter, or a copy of it, in one training run after another, or inside the other."""

    def test_each_training_is_a_run_of_its_own(self, gateway: Gateway) -> None:
        """One exporter serves one training run after another."""
        exporter = self._exporter(gateway)
        self._trained(exporter)
        self._require_new_run(
            gateway, exporter, 'begin each training with a new run: `self.new_run("train")` of an AdapterExporter'
        )

    @pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
    def test_a_copy_trains_and_delivers(self, gateway: Gateway, copied: Callable[[Any], Any]) -> None:
        """Tuners copy callbacks and launchers pickle them, also after a training run."""
        exporter = self._exporter(gateway)
        self._trained(exporter)
        fix = "an Exporter can be copied, a Run cannot: derive from AdapterExporter, and keep runs in `self.calls`"
        try:
            other = copied(exporter)
        except Exception as error:  # noqa: BLE001  copying runs the adapter's code
            fail(f"the exporter cannot be copied ({type(error).__name__}: {error}): {fix}")
        if other is exporter:
            fail(f"the copy is the exporter itself, and two training runs would share it: {fix}")
        self._require_new_run(gateway, other, fix)

    def test_a_training_with_nothing_left_to_do_replaces_nothing(self) -> None:
        """A script that resumes is started again after its last epoch: what it trained stays on the gateway."""
        memory = MemorySink()
        exporter = self._exporter_to(memory)
        self._trained(exporter)
        refused = None
        try:
            self.train_nothing(exporter)
        except ExportError:
            raise
        except Exception as error:  # noqa: BLE001  of the framework, or of what the test reads from it
            refused = f"{type(error).__name__}: {error}"
        if [page for page in memory.pages if page.started != memory.pages[0].started]:
            fail(
                "a training with nothing left to do has replaced what the one before delivered: call Run.start when "
                "the first epoch begins, instead of when the training does; it also starts with Run.record"
            )
        if refused:
            pytest.skip(f"a training of 0 epochs raised {refused}: override `train_nothing` to train with nothing left")

    def test_a_training_inside_another_leaves_it_alone(self, gateway: Gateway) -> None:
        """Some callbacks train: each training keeps to its own run, to its own end."""
        exporter = self._exporter(gateway)
        fix = "keep what belongs to one training in `self.calls`, by the framework's object for it"
        inner: list[str | None] = []
        alone = {epochs: self._steps_alone(epochs) for epochs in (EPOCHS, EPOCHS + 1)}

        def each_epoch(epoch: int) -> None:
            if epoch == 1:
                self._trained(exporter)
                self._require_end(gateway, EPOCHS, f"in an epoch of another training, {fix}", alone[EPOCHS])
                inner.append(label(gateway, "state", "run"))

        self._trained(exporter, EPOCHS + 1, each_epoch)
        if soon(lambda: ["of the inner"] if label(gateway, "state", "run") in inner else []):
            fail(f"a training has ended, and the gateway shows another one that began and ended inside it: {fix}")
        ends = f"if another training begins and ends inside, {fix}"
        self._require_end(gateway, EPOCHS + 1, ends, alone[EPOCHS + 1])

    def test_a_training_that_was_broken_off_is_begun_again(self, gateway: Gateway) -> None:
        """A search catches the exception: the first training has failed at once, the second is a run of its own."""
        exporter = self._exporter(gateway)
        self._break_off(exporter)
        if soon(lambda: [] if state(gateway) == "failed" else ["not yet"]):
            fail(
                f"an exception ended the training and was caught, and the run is {state(gateway)!r}: call "
                "Run.finish(error) in the framework's hook for exceptions; if it has none, keep the run in "
                "`self.calls`, by an object of the framework that is deleted with the training"
            )
        fix = "keep nothing of a training that was broken off: what belongs to it is in `self.calls`"
        self._require_new_run(gateway, exporter, fix)
        self._require_end(gateway, EPOCHS, f"after a training that was broken off, {fix}")

    def test_an_evaluation_after_a_training_that_was_broken_off(self, gateway: Gateway) -> None:
        """It is not taken for the validation of that training, and leaves it failed."""
        exporter = self._exporter(gateway)
        self._break_off(exporter)
        values = self.evaluate(exporter)
        fix = (
            "keep in `self.calls`, and not in the exporter, that a training goes on, and begin each evaluation outside "
            'of one with `self.new_run("test")` (or "validate")'
        )
        if soon(lambda: [] if evaluated(gateway) else ["not yet"]):
            fail(f"an evaluation after a training that was broken off is not shown: {fix}")
        if (found := state(gateway)) != "failed":
            fail(f"an evaluation has followed a training that was broken off, whose run is now {found!r}: {fix}")
        phase = evaluated(gateway)[0]
        if wrong := soon(lambda: differences(lambda name: metric(gateway, name, phase), values)):
            fail(f"of an evaluation after a training that was broken off, {'; '.join(wrong)}: {fix}")
        if (found := state(gateway, phase)) != "finished":
            fail(f"an evaluation that has ended is {found!r}: call Run.finish() when the framework is done")

    def _break_off(self, exporter: Any) -> None:
        """Train, with an exception in the second epoch that is caught."""

        def each_epoch(epoch: int) -> None:
            if epoch == 1:
                raise Crash

        with contextlib.suppress(Crash):
            self.train(exporter, EPOCHS + 1, each_epoch)

    def _steps_alone(self, epochs: int) -> dict[str, float]:
        """Return what is shown of the steps at the end of a training that has no other one inside it."""
        newest = self._pages(epochs)[-1].newest
        steps = {
            "step": newest.step,
            "steps_planned": newest.steps_planned,
            "resumed_from_step": newest.resumed_from_step,
        }
        return {name: number for name, number in steps.items() if number is not None}

    def _require_new_run(self, gateway: Gateway, exporter: Any, fix: str) -> None:
        before = label(gateway, "state", "run")
        values = self._trained(exporter)
        if soon(lambda: ["no new run"] if label(gateway, "state", "run") == before else []):
            fail(f"after a second training, the gateway still shows the run of the first: {fix}")
        if missing := soon(lambda: [name for name in values if metric(gateway, name) is None]):
            fail(f"a second training did not deliver {missing}: {fix}")

    def _require_end(
        self, gateway: Gateway, epochs: int, fix: str, steps: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        """Require that the gateway shows a training that has finished all its epochs, and these steps."""
        expected = {"epoch": epochs, "epochs_planned": epochs, **steps}
        if wrong := soon(lambda: differences(lambda name: position(gateway, name), expected)):
            fail(f"on the gateway, {'; '.join(wrong)}: {fix}")
        if (found := state(gateway)) != "finished":
            fail(f"a training that has ended is {found!r}: {fix}")
