"""The tests that every adapter must pass; the docstring of `AdapterContract` shows how to run them."""

from __future__ import annotations

import time

import pytest

from gangplank import hooks
from gangplank.testing import faulty
from gangplank.testing.announcement import fail
from gangplank.testing.child import ChildProcess
from gangplank.testing.gateway import Gateway
from gangplank.testing.memory import MemorySink
from gangplank.testing.several import SeveralTrainings
from gangplank.testing.shown import ARRIVES, JOB, Epochs, differences, label, metric, soon, state
from gangplank.testing.training import EPOCHS, Crash

# Seconds that a training run may take with a faulty gateway, in addition to twice the time that it takes without one.
SLACK = 5.0
# Of so many steps with a log at each, there may be a page at the start, at the end of each epoch and at the end.
STEPS, MOST_PAGES = 100, 20


class AdapterContract(SeveralTrainings, ChildProcess):
    """The tests of an adapter. A subclass writes one method: how a user trains with it.

        from gangplank.testing import AdapterContract

        class TestLightGBM(AdapterContract):
            adapter = "lightgbm"

            def train(self, exporter, epochs, each_epoch):
                with exporter:
                    booster = lightgbm.train(..., epochs, callbacks=[exporter, lambda env: each_epoch(env.iteration)])
                return {"val_auc": booster.best_score["valid_0"]["auc"]}

    The adapter must be installed (`pip install --editable .`), and announce itself through `gangplank_adapters`. Its
    exporter is called with an address, a job and options of `gangplank.Exporter`, and passes them on. A subclass that
    also writes `evaluate` and `train_steps` has these tested; one whose framework refuses to train 0 epochs writes
    `train_nothing`. A test of what a subclass does not have is skipped, with the reason.

    Attributes:
        adapter: the `Adapter.name` that is announced.
    """

    def test_the_final_values_arrive_exactly(self, gateway: Gateway) -> None:
        """What the gateway shows is what the framework reports, as float64."""
        values = self._trained(self._exporter(gateway))
        if wrong := soon(lambda: differences(lambda name: metric(gateway, name), values)):
            fail(f"on the gateway, {'; '.join(wrong)}, compared with what `train` returned: record the framework's own")

    def test_each_epoch_is_recorded_once(self) -> None:
        """From 1 to the last, in order."""
        recorded = Epochs()
        hooks.register(recorded, "the adapter contract")
        try:
            self._trained(self._made("contract", sink=MemorySink()))
            recorded.finished.wait(ARRIVES)
        finally:
            hooks.unregister("the adapter contract")
        epochs = recorded.numbers
        if epochs != list(range(1, EPOCHS + 1)):
            fail(
                f"of {EPOCHS} epochs these were recorded, counted from 1: {epochs}. Call Run.record(..., epoch=index), "
                "with the index counted from 0, once at the end of each epoch; record later metrics without epoch="
            )

    def test_the_planned_epochs_are_shown(self) -> None:
        """All of them, those before a resume included."""
        planned = [page.newest.epochs_planned for page in self._pages()]
        if set(planned) - {None} != {EPOCHS}:
            fail(f"the pages plan {planned} epochs instead of {EPOCHS}: call Run.start(epochs=...)")

    def test_nothing_is_shown_before_the_plan(self) -> None:
        """From the first page on, the planned epochs are there, also if the framework logs before its first epoch."""
        planned = [page.newest.epochs_planned for page in self._pages(update_freq="batch")]
        if None in planned and EPOCHS in planned:
            fail(
                f"the pages plan {planned} epochs: Run.record or Run.step was called first, and started the run "
                "without a plan. Call Run.start(epochs=...) before them; leave out what is logged before the training"
            )

    def test_logs_of_steps_do_not_push_each(self) -> None:
        """The push interval decides when they are pushed, and the end of the run delivers the last of them."""
        memory = MemorySink()
        values = self.train_steps(self._exporter_to(memory, push_interval=3600.0), STEPS)
        if len(memory.pages) > MOST_PAGES:
            fail(
                f"{STEPS} steps with a log at each pushed {len(memory.pages)} pages: call Run.record(logs, step=...), "
                "without epoch=, for a log of a step; without step=, it is pushed at once"
            )
        if wrong := soon(lambda: differences(lambda name: memory.value(f"gangplank_train_{name}"), values)):
            fail(
                f"at the end, {'; '.join(wrong)}, compared with what `train_steps` returned: call Run.record(logs, "
                "step=...) for each log of a step, and Run.finish() after the last one"
            )

    def test_a_training_that_ends_is_finished(self, gateway: Gateway) -> None:
        """Its last page has arrived when the training returns."""
        self._trained(self._exporter(gateway))
        if (found := state(gateway)) != "finished":
            fail(f"after the training the run is {found!r}: call Run.finish() when the framework is done")

    def test_the_framework_is_named(self, gateway: Gateway) -> None:
        """`gangplank_run_info` has the label `framework`."""
        self._trained(self._exporter(gateway))
        if soon(lambda: [] if label(gateway, "info", "framework") else ["not named"]):
            fail('gangplank_run_info has no label `framework`: make the Exporter(..., framework={"framework": ...})')

    @pytest.mark.parametrize("gateway_is", [faulty.refusing, faulty.hung, faulty.rejecting])
    def test_a_faulty_gateway_leaves_the_training_alone(
        self, gateway_is: faulty.Faulty, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The same values, no exception, and little more time."""
        began = time.monotonic()
        with monkeypatch.context() as patched:
            patched.setenv("GANGPLANK_DISABLED", "1")
            expected = self._trained(self._made("127.0.0.1:1"))
        limit = 2 * (time.monotonic() - began) + SLACK
        with gateway_is(limit + 1) as address:
            # Another job: an undelivered page is sent again later, and its port may belong to another gateway by then.
            exporter = self._made(address, f"{JOB}-{gateway_is.__name__}", timeout=60.0, flush_timeout=0.5)
            began = time.monotonic()
            values = self._trained(exporter)
            took = time.monotonic() - began
        if took > limit:
            fail(f"the training took {took:.1f} s, more than {limit:.1f} s: leave all sending to gangplank")
        if wrong := differences(values.get, expected):
            fail(
                f"compared with GANGPLANK_DISABLED=1, {'; '.join(wrong)}: use seeds, and change nothing in the training"
            )

    def test_an_exception_passes_and_leaves_failed(self, gateway: Gateway) -> None:
        """The training's own exception reaches the user unchanged, and the gateway shows that the run failed."""
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
            fail("each_epoch raised, and `train` returned: a hook must not catch it, and __exit__ must not return True")
        if (found := state(gateway)) != "failed":
            fail(
                f"an exception ended the training, and the run is {found!r}: call Run.finish(error) in the framework's "
                "hook for exceptions; if it has none, `train` uses the AdapterExporter as a context manager"
            )

    def test_ranks_above_0_are_silent(self, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
        """If several processes train together, only the first exports."""
        self.become_rank(1, monkeypatch)
        self._trained(self._exporter(gateway))
        if state(gateway) is not None:
            fail("rank 1 exports: call Run.start(rank=...) with the framework's rank, or without it to use RANK")
