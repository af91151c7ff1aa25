"""One fit, evaluation, validation or prediction: the one door into the core."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

from gangplank.core import process
from gangplank.core.credentials import Credentials
from gangplank.core.delivery import Destinations
from gangplank.core.errors import ExportError
from gangplank.core.info import known_info
from gangplank.core.ledger import Ledger
from gangplank.core.naming import check_phase, new_run_name
from gangplank.core.plugins import announce, ask_for_info, load
from gangplank.core.rank import rank_of_process
from gangplank.core.recorder import Recorder
from gangplank.core.report import Report
from gangplank.core.settings import Handler, Settings, check_settings, disabled
from gangplank.core.sinks import Sink
from gangplank.core.sinks.opening import open_sinks
from gangplank.core.snapshot import Delivery, Group, Outcome, RunView

# How often, and how many seconds apart, a training must seem to be over until it is believed.
_LOOKS, _BETWEEN_LOOKS = 3, 0.05


class Run:
    """What an adapter drives, and what a plain training loop uses directly.

        with gangplank.Run("127.0.0.1:9091", "digits") as run:
            for epoch in run.epochs(20):
                run.record({"loss": train_one_epoch(net)}, weights=net)
            with run.phase("test") as test:
                test.record({"accuracy": evaluate(net)})

    Without the `with`, a framework that calls back calls `start`, `record` and `finish`. A run is real, and first
    pushed, when it starts (`epochs` and `record` see to it). Its methods return at once: a thread sends. None raises,
    unless `ignore_exceptions=False`.

    Args:
        address: where the numbers go: a Pushgateway (`host:port`, `http://host:port`,
            `https://user:password@host/prefix`), a file for node_exporter's textfile collector
            (`file:///path/name.prom`), an endpoint in this process for Prometheus to scrape
            (`scrape://127.0.0.1:9464`), what an installed plugin brings, or a list of these. None waits for another.
        job: the `job` label.
        phase: `train`, `validate`, `test` or `predict`.
        metrics: which of the recorded metrics to export; all that are numbers where it is left out.
        histogram_buckets: finite, strictly increasing edges for the weights; no histogram where it is left out.
        histogram_freq: count the weights every n epochs and at the end; 0: only at the end.
        sink: opens the destination in the stead of the address' scheme: called with the address, returns a
            `gangplank.Sink`.
        handler: sends to the Pushgateway in our stead, in prometheus_client's contract
            `(url, method, timeout, headers, data)`; its time-outs and redirects are its own affair.
        ignore_exceptions: True logs what goes wrong with exporting and lets the run go on. False waits for every push
            and raises ExportError at the first problem.
        grouping_key: labels that tell this job's groups on the gateway apart, after `job` and `phase`.
        run: the `run` label of every sample: "auto" makes one that sorts by time, None leaves the label out.
        concurrent: several runs of this job go on at once: `run` joins the grouping key, and each run leaves a group on
            the gateway that someone must delete.
        per_rank: of several processes, every one exports, in a group of its own with its `rank`. Otherwise those whose
            rank is above 0 are silent.
        info: labels for `gangplank_run_info`, over what is known anyway (host, owner, git commit, ...).
        push_interval: seconds between two pushes of values that arrive faster than epochs.
        timeout: seconds that one push may take in all.
        flush_timeout: seconds that the end of a run waits, at most, for its last page to arrive.
        credentials: a callable, asked for each push, that returns (user, password) for HTTP Basic authentication, or
            the whole `Authorization` header. Without it, those in the address are used, or those that the environment
            holds for this very host: `GANGPLANK_PUSHGATEWAY_HOST`, `_USERNAME` and `_PASSWORD` (and `_CA_FILE`,
            `_CERT_FILE`, `_KEY_FILE` for TLS).

    A copy has the same settings and no run. A pickle holds no password: the environment of the other process does.

    Raises:
        ConfigurationError: an argument that cannot work, with the cure.
    """

    def __init__(
        self,
        address: str | Sequence[str],
        job: str,
        phase: str = "train",
        *,
        metrics: Iterable[str] | None = None,
        histogram_buckets: Iterable[float] | None = None,
        histogram_freq: int = 1,
        sink: Callable[[str], Sink] | None = None,
        handler: Handler | None = None,
        ignore_exceptions: bool = True,
        grouping_key: Mapping[str, object] | None = None,
        run: str | None = "auto",
        concurrent: bool = False,
        per_rank: bool = False,
        info: Mapping[str, object] | None = None,
        push_interval: float = 15.0,
        timeout: float = 5.0,
        flush_timeout: float = 2.0,
        credentials: Credentials | None = None,
    ) -> None:
        settings = check_settings(
            address=address,
            sink=sink,
            handler=handler,
            credentials=credentials,
            job=job,
            grouping_key=grouping_key,
            run=run,
            concurrent=concurrent,
            per_rank=per_rank,
            info=info,
            metrics=metrics,
            histogram_buckets=histogram_buckets,
            histogram_freq=histogram_freq,
            ignore_exceptions=ignore_exceptions,
            push_interval=push_interval,
            timeout=timeout,
            flush_timeout=flush_timeout,
        )
        self._prepare(settings, check_phase(phase))

    def _prepare(self, settings: Settings, phase: str) -> None:
        # Both take their time: now, rather than when the training has begun.
        known_info()
        load()
        self._settings = settings
        self._report = Report(raises=not settings.ignore_exceptions)
        self._checking = threading.Lock()
        self.destinations = Destinations(
            open_sinks(settings, self._report),
            report=self._report,
            push_interval=settings.push_interval,
            timeout=settings.timeout,
            flush_timeout=settings.flush_timeout,
            awaited=not settings.ignore_exceptions,
            tell=_tell,
        )
        self._begin(phase)

    def _begin(self, phase: str) -> None:
        self._phase = phase
        self._ledger: Ledger | None = None
        self._epoch: int | None = None  # the one under way, inside `epochs`
        self._recorder = Recorder(self._settings, self._report)

    def phase(self, name: str) -> Run:
        """Return a new run of the same exporter, in this phase (or in the same one, again)."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._begin(check_phase(name))
        return other

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the numbers go, without credentials; a scrape endpoint has its port once it listens."""
        return self.destinations.addresses

    @property
    def group(self) -> Group:
        """The grouping key, once the run has started."""
        return self.ledger.group

    @property
    def name(self) -> str | None:
        """The `run` label, once the run has started; None where there is none."""
        return self.ledger.name

    @property
    def ledger(self) -> Ledger:
        """The newest value of everything; for the core's exporter."""
        if self._ledger is None:
            raise ExportError("the run has not started")
        return self._ledger

    @property
    def open(self) -> bool:
        """Whether the run has started, in this process, and has not ended."""
        return self._ledger is not None and self._ledger.running and self._pid == os.getpid()

    def start(
        self,
        *,
        epochs: int | None = None,
        epoch: int = 0,
        alive: Callable[[], bool] | None = None,
        rank: int | None = None,
    ) -> None:
        """Begin: from now on the destinations show that this run is running.

        Args:
            epochs: how many epochs the run is to end with, or None where nobody knows.
            epoch: how many epochs are completed already, in a run that resumes.
            alive: whether the training still goes on; asked with each heartbeat, off the training thread, and where it
                says no, the run has failed. For frameworks that say nothing when an exception ends them.
            rank: of this process among those of one training; `RANK` in the environment says it where it is left out.
                Above 0 the run stays silent, unless `per_rank`.
        """
        with self.guard("starting the run"):
            if self._ledger is not None or disabled():
                return
            rank = rank_of_process() if rank is None else rank
            settings = self._settings
            if rank > 0 and not settings.per_rank:
                return
            name = new_run_name() if settings.name == "auto" else settings.name
            key = {"job": settings.job, "phase": self._phase, **settings.grouping_key}
            if name is not None and settings.concurrent:
                key["run"] = name
            if settings.per_rank:
                key["rank"] = str(rank)
            self._alive = alive
            self._pid = os.getpid()
            self.begin_epoch()
            self._ledger = Ledger(
                Group(tuple(key.items())),
                self._phase,
                name=name,
                report=self._report,
                info=known_info() | dict(settings.info),
                check=self._check,
                epochs_planned=epochs,
                epoch=epoch if self._phase == "train" else None,
            )
            process.this.runs.add(self)
            announce("gangplank_run_started", self)
            ask_for_info(self, self._take_info)

    def epochs(self, total: int, *, first: int = 0) -> Iterator[int]:
        """Yield the indices of the epochs, from `first` to `total` - 1; counts and times them.

        `record` needs no `epoch=` inside; a run that resumes gives how many epochs are completed as `first`.
        """
        if first < total:
            self.start(epochs=total, epoch=first)
        try:
            for epoch in range(first, total):
                self._epoch = epoch
                self.begin_epoch()
                yield epoch
        finally:
            self._epoch = None

    def begin_epoch(self) -> None:
        """Time the epoch from here; without it, an epoch lasts from one `record` to the next."""
        with self.guard("beginning the epoch"):
            self._recorder.begin_epoch()

    def record(
        self,
        metrics: Mapping[str, Any] | None = None,
        *,
        epoch: int | None = None,
        step: int | None = None,
        samples: float | None = None,
        seconds: float | None = None,
        learning_rates: Mapping[Any, Any] | float | None = None,
        parameters: tuple[int, int] | None = None,
        weights: Any = None,
    ) -> None:
        """Export what is known at the end of an epoch, or of an evaluation.

        Args:
            metrics: numbers by the framework's names; also 0-d arrays and scalars of any framework. What is no number
                is dropped, counted and reported once.
            epoch: the index of the epoch that has ended, from 0; inside `epochs` it is known; None outside of epochs.
            step: optimizer steps so far.
            samples: samples that the epoch has seen.
            seconds: the time that these took; the epoch's where it is left out.
            learning_rates: the one there is, or several by optimizer or parameter group.
            parameters: how many parameters are trainable, and how many are not; a torch module or a Keras model given
                as `weights` knows.
            weights: a Keras model, a torch module, a tree of JAX arrays, NumPy arrays or torch tensors of any shapes
                and float dtypes, pairs of name and array, or an iterable of these. They are read before `record`
                returns, and only where a histogram is due.
        """
        with self.guard("recording"):
            self.start()
            if self._ledger is None:  # disabled, silent, or it could not start
                return
            if not self.open:
                raise ExportError("the run has ended, or belongs to another process: nothing more is recorded in it")
            epoch = self._epoch if epoch is None else epoch
            snapshot = self._recorder.snapshot(
                metrics,
                epoch=epoch,
                step=step,
                samples=samples,
                seconds=seconds,
                learning_rates=learning_rates,
                parameters=parameters,
                weights=weights,
            )
            announce("gangplank_snapshot", self, snapshot=snapshot)
            self.begin_epoch()

    def finish(self, error: BaseException | None = None, *, weights: Any = None) -> None:
        """End the run, and wait up to `flush_timeout` for its last values to arrive.

        A run that never started, or that has ended, stays as it is.

        Args:
            error: what ended it early: the run shows as failed, or as interrupted (KeyboardInterrupt, SystemExit), and
                nothing is raised in place of it.
            weights: as for `record`; counted whatever `histogram_freq` says.
        """
        with self.guard("finishing the run", raises=error is None):
            if not self.open:
                return
            if weights is not None:
                self.record(weights=weights)
            self._recorder.report_missing(self._phase)
            process.this.runs.discard(self)
            announce("gangplank_run_finished", self, outcome=Outcome.of(error))

    def __enter__(self) -> Self:
        # An evaluation begins here; a training with its first epoch, since there may be none left.
        if self._phase != "train":
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish(error)

    def guard(self, what: str, *, raises: bool = True) -> AbstractContextManager[None]:
        """Return a context that keeps a problem with exporting from the training; an adapter works inside it.

        Raises:
            ExportError: a problem, where `ignore_exceptions=False` (and `raises`).
        """
        return self._report.guard(what, raises=raises)

    def close(self) -> None:
        """Let go of what the destinations hold open: a scrape endpoint stops listening.

        Without it, an endpoint listens until the process ends, so that the last values of a run are scraped as well.
        """
        with self.guard("closing"):
            self.destinations.close()

    def _take_info(self, plugin: str, facts: object) -> None:
        """Add what a plugin knows to the info family; called on the plugins' thread."""
        with self.guard(f"taking the info of {plugin}", raises=False):
            if self.ledger.add_info(plugin, facts):
                self.destinations.wake(self.ledger)

    def _check(self) -> None:
        """Notice that the training has ended without saying so; one look may err, several do not."""
        if not self._checking.acquire(blocking=False):
            return  # another destination's thread looks
        try:
            for _ in range(_LOOKS):
                if self._alive is None or not self.open or self._alive():
                    return
                time.sleep(_BETWEEN_LOOKS)
            self.finish(RuntimeError("the training is over, and nobody said how it ended"))
        finally:
            self._checking.release()

    # A copy has the same settings, an outbox of its own, and no run.

    def __deepcopy__(self, memo: dict[int, Any]) -> Run:
        other = object.__new__(type(self))
        other._prepare(self._settings, self._phase)
        return other

    def __copy__(self) -> Run:
        return self.__deepcopy__({})

    def __getstate__(self) -> tuple[Settings, str]:
        return self._settings.picklable(), self._phase

    def __setstate__(self, state: tuple[Settings, str]) -> None:
        self._prepare(*state)


def _tell(run: RunView, delivery: Delivery) -> None:
    announce("gangplank_delivered", run, delivery=delivery)
