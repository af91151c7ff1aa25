"""One fit, evaluation, validation or prediction: the one door into the core."""

from __future__ import annotations

import contextlib
import copy
import datetime as dt
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import numpy.typing as npt

from gangplank.core.delivery import Delivery
from gangplank.core.errors import ExportError, GangplankError, MetricError
from gangplank.core.histogram import WeightCounts, count_weights
from gangplank.core.info import known_info
from gangplank.core.ledger import Ledger
from gangplank.core.naming import check_metric, check_phase
from gangplank.core.plugins import hook
from gangplank.core.report import Report
from gangplank.core.scalar import scalar
from gangplank.core.settings import check_seconds, check_settings
from gangplank.core.sinks import open_sink
from gangplank.core.sinks.pushgateway import Handler
from gangplank.core.snapshot import Group, Outcome, Snapshot


class Run:
    """What an adapter drives, and what a plain training loop uses directly.

        with gangplank.Run("127.0.0.1:9091", "digits") as run:
            run.start(epochs=3)
            for epoch in range(3):
                run.record({"loss": train_one_epoch()}, epoch=epoch)

    A run is real, and first pushed, when `start` is called (`record` does where nobody has). Its methods return at
    once: a thread sends. None raises, unless `ignore_exceptions=False`.

    Args:
        address: the Pushgateway: `host:port`, `http://host:port` or `https://user:password@host/prefix`.
        job: the `job` label.
        phase: `train`, `validate`, `test` or `predict`.
        metrics: which of the recorded metrics to export; all that are numbers where it is left out.
        histogram_buckets: finite, strictly increasing edges for the weights; no histogram where it is left out.
        histogram_freq: count the weights every n epochs and at the end; 0: only at the end.
        handler: sends in our stead, in prometheus_client's contract `(url, method, timeout, headers, data)`; its
            time-outs and redirects are its own affair.
        ignore_exceptions: True logs what goes wrong with exporting and lets the run go on. False waits for every push
            and raises ExportError at the first problem.
        grouping_key: labels that tell this job's groups on the gateway apart, after `job` and `phase`.
        run: the `run` label of every sample: "auto" makes one that sorts by time, None leaves the label out.
        concurrent: several runs of this job go on at once: `run` joins the grouping key, and each run leaves a group on
            the gateway that someone must delete.
        info: labels for `gangplank_run_info`, over what is known anyway (host, owner, git commit, ...).
        push_interval: seconds between two pushes of values that arrive faster than epochs.
        timeout: seconds that one push may take in all.
        flush_timeout: seconds that the end of a run waits, at most, for its last page to arrive.

    Raises:
        ConfigurationError: an argument that cannot work, with the cure.
    """

    def __init__(
        self,
        address: str,
        job: str,
        phase: str = "train",
        *,
        metrics: Iterable[str] | None = None,
        histogram_buckets: Iterable[float] | None = None,
        histogram_freq: int = 1,
        handler: Handler | None = None,
        ignore_exceptions: bool = True,
        grouping_key: Mapping[str, object] | None = None,
        run: str | None = "auto",
        concurrent: bool = False,
        info: Mapping[str, object] | None = None,
        push_interval: float = 15.0,
        timeout: float = 5.0,
        flush_timeout: float = 2.0,
    ) -> None:
        self._settings = check_settings(
            job=job,
            grouping_key=grouping_key,
            run=run,
            concurrent=concurrent,
            info=info,
            metrics=metrics,
            histogram_buckets=histogram_buckets,
            histogram_freq=histogram_freq,
            ignore_exceptions=ignore_exceptions,
        )
        known_info()  # now, rather than when the training has begun
        self._report = Report()
        self.delivery = Delivery(
            open_sink(address, handler=handler, timeout=check_seconds("timeout", timeout)),
            report=self._report,
            push_interval=check_seconds("push_interval", push_interval, zero=True),
            timeout=timeout,
            flush_timeout=check_seconds("flush_timeout", flush_timeout, zero=True),
            awaited=not ignore_exceptions,
        )
        self._begin(phase)

    def _begin(self, phase: str) -> None:
        self._phase = check_phase(phase)
        self._ledger: Ledger | None = None
        self._recorded = False
        self._seen: set[str] = set()  # of the metrics that were asked for

    def phase(self, name: str) -> Run:
        """Return a new run of the same exporter, in this phase (or in the same one, again)."""
        other = copy.copy(self)
        other._begin(name)  # noqa: SLF001  our own
        return other

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
        """Whether the run has started and has not ended."""
        return self._ledger is not None and self._ledger.running

    def start(self, *, epochs: int | None = None, epoch: int = 0) -> None:
        """Begin: from now on the gateway shows that this run is running.

        Args:
            epochs: how many epochs the run is to end with, or None where nobody knows.
            epoch: how many epochs are completed already, in a run that resumes.
        """
        with self.guard("starting the run"):
            if self._ledger is not None or self._settings.disabled:
                return
            settings = self._settings
            name = _new_name() if settings.name == "auto" else settings.name
            key = {"job": settings.job, "phase": self._phase, **settings.grouping_key}
            if name is not None and settings.concurrent:
                key["run"] = name
            self._ledger = Ledger(
                Group(tuple(key.items())),
                self._phase,
                name=name,
                report=self._report,
                info=known_info() | dict(settings.info),
                epochs_planned=epochs,
                epoch=epoch if self._phase == "train" else None,
            )
            self._mark = time.monotonic()
            hook.gangplank_run_started(run=self)

    def begin_epoch(self) -> None:
        """Time the epoch from here; without it, an epoch lasts from one `record` to the next."""
        self._mark = time.monotonic()

    def record(
        self,
        metrics: Mapping[str, Any] | None = None,
        *,
        epoch: int | None = None,
        step: int | None = None,
        samples: float | None = None,
        seconds: float | None = None,
        learning_rates: Mapping[str, float] | None = None,
        parameters: tuple[int, int] | None = None,
        weights: Iterable[npt.ArrayLike] | None = None,
    ) -> None:
        """Export what is known at the end of an epoch, or of an evaluation.

        Args:
            metrics: numbers by the framework's names; also 0-d arrays and scalars of any framework. What is no number
                is dropped, counted and reported once.
            epoch: the index of the epoch that has ended, from 0; None outside of epochs.
            step: optimizer steps so far.
            samples: samples that the epoch has seen.
            seconds: the time that these took; the epoch's where it is left out.
            learning_rates: by optimizer; a single optimizer's name is "".
            parameters: how many parameters are trainable, and how many are not.
            weights: the trainable arrays, of any shapes and float dtypes. They are read before `record` returns, and
                only where a histogram is due.
        """
        with self.guard("recording"):
            self.start()
            if self._settings.disabled:
                return
            if not self.open:
                raise ExportError("the run has ended: nothing more is recorded in it")
            duration = time.monotonic() - self._mark if epoch is not None else None
            values, dropped = self._scalars(metrics or {})
            took = seconds or duration
            snapshot = Snapshot(
                values,
                epoch=None if epoch is None else epoch + 1,
                step=step,
                epoch_duration=duration,
                samples_per_second=samples / took if samples and took else None,
                learning_rates=learning_rates or {},
                parameters=parameters,
                weights=self._counted(weights, dropped) if weights is not None and self._weights_due(epoch) else None,
                dropped=dropped,
            )
            self._recorded = True
            hook.gangplank_snapshot(run=self, snapshot=snapshot)
            self._mark = time.monotonic()

    def finish(self, error: BaseException | None = None, *, weights: Iterable[npt.ArrayLike] | None = None) -> None:
        """End the run, and wait up to `flush_timeout` for its last values to arrive.

        A run that never started, or that has ended, stays as it is.

        Args:
            error: what ended it early: the run shows as failed, or as interrupted (KeyboardInterrupt, SystemExit), and
                nothing is raised in place of it.
            weights: as for `record`; counted whatever `histogram_freq` says.
        """
        if not self.open:
            return
        with self.guard("finishing the run", raises=error is None):
            if weights is not None:
                self.record(weights=weights)
            self._report_missing()
            hook.gangplank_run_finished(run=self, outcome=Outcome.of(error))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish(error)

    @contextlib.contextmanager
    def guard(self, what: str, *, raises: bool = True) -> Iterator[None]:
        """Keep a problem with exporting from the training; an adapter wraps its own work in it.

        Raises:
            ExportError: a problem, where `ignore_exceptions=False` (and `raises`).
        """
        try:
            yield
        except Exception as error:
            if raises and not self._settings.ignore_exceptions:
                if isinstance(error, GangplankError):
                    raise
                raise ExportError(f"{what} failed: {type(error).__name__}: {error}") from error
            self._report.trouble(
                f"{what}: {type(error).__name__}", "Exporting: %s failed: %s: %s", what, type(error).__name__, error
            )

    def _scalars(self, metrics: Mapping[str, Any]) -> tuple[dict[str, float], Counter[str]]:
        """Return the wanted metrics as float64, and how many were dropped, by reason."""
        wanted = self._settings.metrics
        values: dict[str, float] = {}
        dropped: Counter[str] = Counter()
        for name, value in metrics.items():
            if wanted is not None and name not in wanted:
                continue
            if wanted is not None:
                self._seen.add(name)
            try:
                values[check_metric(name)] = scalar(value)
            except MetricError as error:
                # Unless it was asked for by name, a value that is no number is simply not one of the numeric ones.
                if not self._settings.ignore_exceptions and (wanted is not None or error.reason == "too_large"):
                    raise MetricError(f"the metric {name!r} cannot be exported: {error}", error.reason) from None
                dropped[error.reason] += 1
                self._report.once(f"drop {name!r}", "The metric %r is not exported: %s", name, error)
        return values, dropped

    def _weights_due(self, epoch: int | None) -> bool:
        frequency = self._settings.histogram_freq
        return self._settings.edges is not None and (epoch is None or (frequency > 0 and (epoch + 1) % frequency == 0))

    def _counted(self, weights: Iterable[npt.ArrayLike], dropped: Counter[str]) -> WeightCounts | None:
        """Count the weights; a problem with them costs no metric."""
        with self.guard("counting the weights"):
            return count_weights(weights, self._settings.edges or ())
        dropped["weights"] += 1
        return None

    def _report_missing(self) -> None:
        """Report metrics that were asked for and never came; `val_` ones can only come in a fit."""
        for name in sorted((self._settings.metrics or frozenset()) - self._seen):
            if self._recorded and (self._phase == "train" or not name.startswith("val_")):
                self._report.once(f"missing {name}", "The metric %r was asked for and never appeared", name)


def _new_name() -> str:
    """Return a name for a run: sorted by time, and another one each time."""
    now = dt.datetime.now(dt.UTC)
    return f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}-{secrets.token_hex(2)}"
