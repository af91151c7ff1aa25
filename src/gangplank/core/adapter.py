"""The mixin that the exporters of all adapters share."""

from __future__ import annotations

import copy
import threading
import weakref
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

from gangplank.core.exporter import Exporter
from gangplank.core.options import show_options
from gangplank.core.run import Run


class _NotYet:
    """Stands for what `export_with` sets, until it is called."""

    def __get__(self, exporter: object, owner: type) -> Any:
        if exporter is None:
            return self
        raise AttributeError(
            f"{owner.__name__} has no Exporter yet: in its __init__, call self.export_with(Exporter(...)), or the "
            "super().__init__(...) that does"
        )


class _Block:
    """A `with` block around trainings, and the runs that began in it, the oldest first."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.runs: list[weakref.ref[Run]] = []


class AdapterExporter:
    """A mixin for the exporter of an adapter: it holds an `Exporter`, and what belongs to each fit or evaluation.

        class PrometheusExporter(AdapterExporter, toy_framework.Callback):
            def __init__(self, address: str, job: str, **options: Unpack[ExporterOptions]) -> None:
                super().__init__()
                self.export_with(Exporter(address, job, framework={"framework": "toy_framework"}, **options))

            def on_fit_begin(self, trainer):
                self.calls[trainer] = self.new_run("train")

            def on_epoch_end(self, trainer, logs):
                self.calls[trainer].record(logs, epoch=trainer.epoch)

    People nest, repeat, thread and break off trainings, with one exporter. So each fit or evaluation has a run of its
    own, and whatever else belongs to it is kept in `calls`, not in attributes of the exporter.

    It is a context manager that ends the runs that began inside; those that began in another `with` of this exporter,
    further inside or on another thread, are left to that one. It can be copied and pickled: a copy has the same options
    and no runs. The signature and the docstring of a subclass show the options of `Exporter` in place of `**options`.

    Attributes:
        calls: what belongs to each fit or evaluation, by the framework's object for it, which it does not keep alive:
            with that object, its entry is deleted, and a run in it that nothing has ended has failed. An entry must not
            refer to that object.
    """

    calls: weakref.WeakKeyDictionary[Any, Any] = _NotYet()  # type: ignore[assignment]
    _exporter: Exporter = _NotYet()  # type: ignore[assignment]
    _blocks: list[_Block] = _NotYet()  # type: ignore[assignment]

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        show_options(cls, Exporter)

    def export_with(self, exporter: Exporter) -> None:
        """Use this exporter; call this in the constructor."""
        self.__setstate__({"_exporter": exporter})

    def new_run(self, phase: str) -> Run:
        """Return a new run for the fit or evaluation that begins.

        Args:
            phase: `train`, `validate`, `test` or `predict`.
        """
        run = self._exporter.run(phase)
        if block := self._innermost_block():
            block.runs.append(weakref.ref(run))
        return run

    def finish_run(self, run: Run, *, weights: Any = None, processes: int = 1) -> None:
        """End a run as finished.

        Args:
            run: the run.
            weights: as for `Run.finish`.
            processes: how many train together. If there are several, the last page is awaited on a thread, unless
                pushes are awaited: the other processes continue, and must not wait for this one.
        """
        if processes == 1 or not self._exporter.ignore_exceptions:
            run.finish(weights=weights)
            return
        run.record(weights=weights)
        with run.guard("ending the run"):  # no thread can start while the interpreter shuts down
            threading.Thread(target=run.finish, name="gangplank-finish").start()

    def guard(self, what: str) -> AbstractContextManager[None]:
        """Return a context that keeps an exporting problem away from the training, as `Run.guard` does."""
        return self._exporter.guard(what)

    def each_call(self) -> list[tuple[Any, Any]]:
        """Return the entries of `calls`; meanwhile, other threads may begin fits, and end them."""
        alive = filter(None, (reference() for reference in self.calls.keyrefs()))
        return [(of, self.calls[of]) for of in alive if of in self.calls]

    @property
    def addresses(self) -> tuple[str, ...]:
        """The destinations, without credentials; a scrape endpoint has its port once it listens."""
        return self._exporter.addresses

    def close(self) -> None:
        """Close the destinations; otherwise, a scrape endpoint listens until the process exits."""
        self._exporter.close()

    def __enter__(self) -> Self:
        self._blocks.append(_Block())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if block := self._innermost_block():
            self._blocks.remove(block)
            for run in filter(None, (reference() for reference in block.runs)):
                run.finish(error)

    def _innermost_block(self) -> _Block | None:
        """Return that of this thread, or the newest of all if it has none: a framework may have threads of its own."""
        blocks = self._blocks.copy()
        here = [block for block in blocks if block.thread == threading.get_ident()]
        return next(reversed(here or blocks), None)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("calls", "_blocks")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.calls = weakref.WeakKeyDictionary()
        self._blocks = []

    def __copy__(self) -> Self:
        return copy.deepcopy(self)
