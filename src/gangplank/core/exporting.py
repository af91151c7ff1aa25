"""What the runs of one exporter share: its settings, its destinations, and how it is copied."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

from gangplank.core.credentials import Credentials
from gangplank.core.delivery import Destinations
from gangplank.core.info import known_info
from gangplank.core.naming import check_phase
from gangplank.core.plugins import announce, load
from gangplank.core.report import Report
from gangplank.core.settings import Handler, Settings, check_settings, disabled
from gangplank.core.sinks import Sink
from gangplank.core.sinks.opening import open_sinks
from gangplank.core.snapshot import Delivery, RunView


class Exporting:
    """The part of a run that the runs of one exporter have in common. Making one connects to nothing.

    Args:
        address: where the numbers go: a Pushgateway (`host:port`, `http://host:port`,
            `https://user:password@host/prefix`), a file for node_exporter's textfile collector
            (`file:///path/name.prom`), an endpoint in this process for Prometheus to scrape
            (`scrape://127.0.0.1:9464`), what an installed plugin brings, or a list of these. None waits for another.
        job: the `job` label.
        phase: `train`, `validate`, `test` or `predict`.
        metrics: which of the recorded metrics to export; all that are numbers where it is left out.
        histogram_buckets: finite, strictly increasing edges for the weights, or "auto" for edges that need no guess and
            are the same for every run; no histogram where it is left out.
        histogram_freq: count the weights every n epochs and at the end; 0: only at the end.
        per_tensor: count the weights of each tensor, labelled `tensor="dense/kernel"`: True for the 50 largest, n for
            the n largest, the others together as `tensor="other"`. Each takes as many series as there are edges.
        update_freq: of which steps the metrics are exported too: "epoch" for none, "batch" for each, n for every n-th.
            What is pushed is the newest, every `push_interval`.
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
        histogram_buckets: Iterable[float] | str | None = None,
        histogram_freq: int = 1,
        per_tensor: bool | int = False,
        update_freq: int | str = "epoch",
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
            per_tensor=per_tensor,
            update_freq=update_freq,
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
        self.destinations = Destinations(
            [] if disabled() else open_sinks(settings, self._report),
            report=self._report,
            push_interval=settings.push_interval,
            timeout=settings.timeout,
            flush_timeout=settings.flush_timeout,
            awaited=not settings.ignore_exceptions,
            tell=_tell,
        )
        self._phase = phase
        self._begin()

    def _begin(self) -> None:
        """Be a run that has not started."""
        raise NotImplementedError

    def phase(self, name: str) -> Self:
        """Return a new run of the same exporter, in this phase (or in the same one, again)."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._phase = check_phase(name)
        other._begin()
        return other

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the numbers go, without credentials; a scrape endpoint has its port once it listens."""
        return self.destinations.addresses

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

    # A copy has the same settings, an outbox of its own, and no run.

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        other = object.__new__(type(self))
        other._prepare(self._settings, self._phase)
        return other

    def __copy__(self) -> Self:
        return self.__deepcopy__({})

    def __getstate__(self) -> tuple[Settings, str]:
        return self._settings.picklable(), self._phase

    def __setstate__(self, state: tuple[Settings, str]) -> None:
        self._prepare(*state)


def _tell(run: RunView, delivery: Delivery) -> None:
    announce("gangplank_delivered", run, delivery=delivery)
