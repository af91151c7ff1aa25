"""The checked options, the destinations, and the plugin that delivers; it lives as long as the user keeps it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Self, Unpack

from gangplank.core.delivery.destinations import Destinations
from gangplank.core.delivery.opening import open_sinks
from gangplank.core.environment import INFO_LABELS, disabled, known_info
from gangplank.core.labels import check_labels, check_value
from gangplank.core.lifecycle import notice_fork
from gangplank.core.log import Log
from gangplank.core.options import ExporterOptions
from gangplank.core.page.latest import Latest
from gangplank.core.plugins import registry
from gangplank.core.plugins.hookspecs import hookimpl
from gangplank.core.run import Run
from gangplank.core.settings import (
    Destination,
    Settings,
    check_destinations,
    check_edges,
    check_flag,
    check_frequency,
    check_metrics,
    check_run_name,
    check_seconds,
    check_tensors,
    check_update_freq,
    concealed,
)
from gangplank.core.sinks.base import Handler, Sink
from gangplank.core.sinks.credentials import Credentials
from gangplank.core.sinks.hidden import hide
from gangplank.core.types import Delivery, Outcome, RunInfo, Snapshot


class Exporter:
    """Holds the options and the destinations, and makes a `Run` for each fit and evaluation.

        exporter = gangplank.Exporter("127.0.0.1:9091", "digits")
        with exporter.run() as run:
            for epoch in run.epochs(20):
                run.record({"loss": train_one_epoch(net)}, weights=net)

    The constructor checks the options and does not connect. A copy has the same options, destinations of its own and no
    runs. A pickle contains no password: the other process reads it from its own environment. With
    `GANGPLANK_DISABLED=1` in the environment, nothing is exported.

    Args:
        address: the destination: a Pushgateway (`host:port`, `http://host:port`,
            `https://user:password@host/prefix`, IPv6 in brackets), a file for node_exporter's textfile collector
            (`file:///path/name.prom`), an endpoint in this process for Prometheus to scrape
            (`scrape://127.0.0.1:9464`), any scheme that an installed plugin adds, or a list of these. No destination
            delays another. A `gangplank.Destination` in place of an address has options of its own.
        job: the `job` label; any text that is not empty.
        metrics: which of the recorded metrics to export, such as `["loss", "val_accuracy"]`; by default all that are
            numbers. One that never appears is reported once.
        histogram_buckets: finite, strictly increasing edges of a histogram of the trainable weights, such as
            `gangplank.HISTOGRAM_WEIGHT_BUCKETS_0_3`, or "auto" for 0 and the powers of two from 2**-12 to
            4 on either side. By default there is no histogram.
        histogram_freq: count the weights every n epochs and at the end; 0 counts them only at the end.
        per_tensor: count the weights of each tensor, labelled `tensor="dense/kernel"`: True for the 50 largest tensors,
            n for the n largest; the others are counted together as `tensor="other"`. Each tensor takes as many series
            as there are edges.
        update_freq: the steps whose metrics are exported in addition to those of epochs: "epoch" for none, "batch" for
            every step, n for every n-th step. The newest values are pushed every `push_interval`.
        grouping_key: labels that distinguish the groups of this job on the gateway; they follow `job` and `phase`.
        run: the `run` label of every sample: "auto" generates a name for each run, which sorts by time; other text is
            used as it is; None leaves the label out.
        concurrent: whether several runs of this job take place at the same time. Then `run` joins the grouping
            key, and each run leaves a group on the gateway that has to be deleted (`gangplank prune`).
        per_rank: whether each of several processes exports, in a group of its own with its `rank`. By default those
            whose rank is above 0 export nothing.
        info: labels for `gangplank_run_info`, in addition to the known ones (host, owner, git commit, ...).
        ignore_exceptions: True (the default) logs an exporting problem and lets the training go on. False awaits every
            push, and raises a `gangplank.ExportError` at the first problem, which ends the training.
        push_interval: seconds between two pushes of values that arrive faster than epochs.
        timeout: seconds that one push may take at most.
        flush_timeout: seconds that the end of a run waits at most for its last values to arrive.
        credentials: a callable that is called for each push, and returns (user, password) for HTTP Basic
            authentication, or the whole `Authorization` header. By default those in the address are used, or those in
            the environment for this host: `GANGPLANK_PUSHGATEWAY_HOST`, `_USERNAME` and `_PASSWORD` (and
            `_CA_FILE`, `_CERT_FILE`, `_KEY_FILE` for TLS).
        handler: sends to the Pushgateway instead of gangplank, by prometheus_client's contract:
            `handler(url, method, timeout, headers, data)` returns a callable that sends. `basic_auth_handler` and
            `tls_auth_handler` of prometheus_client work. The handler decides about timeouts and redirects.
        sink: opens the destination, whatever the scheme of the address: called with the address, returns a
            `gangplank.Sink`.
        framework: for adapters: the labels `framework`, `framework_version` and `backend` of `gangplank_run_info`.

    Raises:
        ConfigurationError: an argument cannot work; the message suggests a fix.
    """

    def __init__(
        self,
        address: str | Destination | Sequence[str | Destination],
        job: str,
        *,
        metrics: Iterable[str] | None = None,
        histogram_buckets: Iterable[float] | str | None = None,
        histogram_freq: int = 1,
        per_tensor: bool | int = False,
        update_freq: int | str = "epoch",
        grouping_key: Mapping[str, object] | None = None,
        run: str | None = "auto",
        concurrent: bool = False,
        per_rank: bool = False,
        info: Mapping[str, object] | None = None,
        ignore_exceptions: bool = True,
        push_interval: float = 15.0,
        timeout: float = 5.0,
        flush_timeout: float = 2.0,
        credentials: Credentials | None = None,
        handler: Handler | None = None,
        sink: Callable[[str], Sink] | None = None,
        framework: Mapping[str, str] | None = None,
    ) -> None:
        # From here on, a traceback that shows variables shows no credentials.
        address, credentials, handler, sink = concealed(address), hide(credentials), hide(handler), hide(sink)
        edges = check_edges(histogram_buckets)
        info_labels = check_labels("info", info)
        self.__setstate__(
            Settings(
                destinations=check_destinations(address, credentials=credentials, handler=handler, sink=sink),
                sink=sink,
                handler=handler,
                job=check_value("job", job),
                grouping_key=check_labels("grouping_key", grouping_key, reserved=(*INFO_LABELS, *info_labels)),
                name=check_run_name(run, concurrent=concurrent),
                concurrent=check_flag("concurrent", concurrent),
                per_rank=check_flag("per_rank", per_rank),
                framework=check_labels("framework", framework),
                info=info_labels,
                metrics=check_metrics(metrics),
                edges=edges,
                histogram_freq=check_frequency(histogram_freq),
                tensors=check_tensors(per_tensor, edges),
                update_every=check_update_freq(update_freq),
                ignore_exceptions=check_flag("ignore_exceptions", ignore_exceptions),
                push_interval=check_seconds("push_interval", push_interval, zero=True),
                timeout=check_seconds("timeout", timeout),
                flush_timeout=check_seconds("flush_timeout", flush_timeout, zero=True),
            )
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        """The destinations, without credentials; a scrape endpoint has its port once it listens."""
        return self._destinations.addresses

    @property
    def ignore_exceptions(self) -> bool:
        """Whether exporting problems are logged; otherwise pushes are awaited, and problems are raised."""
        return self._settings.ignore_exceptions

    @property
    def per_rank(self) -> bool:
        """Whether each of several processes exports."""
        return self._settings.per_rank

    def run(self, phase: str = "train") -> Run:
        """Return a new run, which has not started.

        Args:
            phase: `train`, `validate`, `test` or `predict`.

        Raises:
            ConfigurationError: there is no such phase.
        """
        return Run(self._settings, self._log, self._hook, phase, is_due=self._destinations.is_due)

    def guard(self, what: str, *, raises: bool = True) -> AbstractContextManager[None]:
        """Return a context that keeps an exporting problem away from the training, as `Run.guard` does."""
        notice_fork()
        return self._log.guard(what, raises=raises)

    def abandon(self) -> None:
        """Give up the pages that have not arrived: they are not sent again."""
        self._destinations.abandon()

    def close(self) -> None:
        """Close the destinations: a scrape endpoint stops listening.

        Otherwise, an endpoint listens until the process exits, so that the last values of a run are scraped as well.
        """
        with self.guard("closing"):
            self._destinations.close()

    # The hooks, as the plugin that delivers.

    @hookimpl
    def gangplank_run_started(self, run: Run) -> None:
        """Push the first page of a run, which shows what is planned."""
        settings = self._settings
        latest = Latest(
            run.group,
            run.phase,
            name=run.name,
            log=self._log,
            info={**known_info(), **settings.framework, **settings.info},
            most_metrics=settings.most_metrics,
            destinations=self._destinations.labels,
            run=weakref.ref(run),
            activities=run.activities.seconds,
        )
        latest.update(run.planned)
        run.kept = latest
        if not run.open and run.kept is not None:  # a signal handler has ended it before this
            run.kept = None
            return
        self._destinations.push(latest)
        registry.observers.notify("gangplank_info", run, answer=partial(self._take_info, latest))

    @hookimpl
    def gangplank_snapshot(self, run: Run, snapshot: Snapshot) -> None:
        """Push the newest values: those of an epoch or an evaluation at once, those of steps at the push interval."""
        latest: Latest | None = run.kept
        if latest is None:  # a signal handler or another thread has ended the run while this was recorded
            return
        latest.update(snapshot)
        if run.open:  # otherwise its last page follows, which has them, and which may be one that replaces no other
            self._destinations.push(latest, at_once=not snapshot.of_steps)

    @hookimpl
    def gangplank_run_finished(self, run: Run, outcome: Outcome) -> None:
        """Push the last page of a run, and wait for it up to `flush_timeout`."""
        latest: Latest | None = run.kept
        run.kept = None
        if latest is not None:
            latest.close(outcome)
            self._destinations.push_last(latest, raises=outcome is Outcome.FINISHED, lost=run.lost)

    def _delivered(self, latest: Latest, delivery: Delivery) -> None:
        self._hook.gangplank_delivered(run=RunInfo(latest.group, latest.name), delivery=delivery)

    def _take_info(self, latest: Latest, plugin: str, facts: object) -> None:
        """Add the facts of a plugin to the info family; called on the observers' thread."""
        with self.guard(f"taking the info of {plugin}", raises=False):
            if latest.add_info(plugin, facts):
                self._destinations.wake(latest)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self._with(self._settings)

    def __copy__(self) -> Self:
        return self._with(self._settings)

    def _with(self, settings: Settings) -> Self:
        other = type(self).__new__(type(self))
        other.__setstate__(settings)
        return other

    def __getstate__(self) -> Settings:
        return self._settings.picklable()

    def __setstate__(self, settings: Settings) -> None:
        known_info()  # slow, so it is called now rather than at the start of the training
        self._settings = settings
        self._log = Log(raises=not settings.ignore_exceptions)
        self._destinations = Destinations(
            [] if disabled() else open_sinks(settings, self._log),
            log=self._log,
            flush_timeout=settings.flush_timeout,
            awaited=not settings.ignore_exceptions,
            on_delivery=self._delivered,
        )
        self._hook = registry.exporter_hooks(self).hook


def run(
    address: str | Destination | Sequence[str | Destination],
    job: str,
    phase: str = "train",
    **options: Unpack[ExporterOptions],
) -> Run:
    """Return a new run of a new exporter, for your own training loop.

        with gangplank.run("127.0.0.1:9091", "digits") as run:
            for epoch in run.epochs(20):
                run.record({"loss": train_one_epoch(net)}, weights=net)

    Args:
        address: as for `Exporter`.
        job: as for `Exporter`.
        phase: `train`, `validate`, `test` or `predict`.
        options: those of `Exporter`.

    Raises:
        ConfigurationError: an argument cannot work; the message suggests a fix.
    """
    try:
        return Exporter(address, job, **options).run(phase)
    finally:
        del address, options  # a traceback may show them, with a password
