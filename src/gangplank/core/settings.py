"""The options of an exporter, checked at construction, before training starts."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import TypeVar

from gangplank.core.errors import ConfigurationError, kind_of
from gangplank.core.labels import check_value
from gangplank.core.sinks.address import conceal, scheme_of, whole, without_credentials
from gangplank.core.sinks.base import Handler, Sink
from gangplank.core.sinks.credentials import Credentials
from gangplank.core.sinks.hidden import hide, reveal
from gangplank.core.weights.buckets import HISTOGRAM_WEIGHT_BUCKETS_AUTO, MOST_TENSORS, MOST_WEIGHT_SERIES, edges_of

T = TypeVar("T")

_LONGEST = 86_400.0
# Each metric takes two series: its value and its epoch.
MOST_METRICS = 800
_CREDENTIALS = "a callable that returns (user, password), or the whole header"


@dataclass(frozen=True)
class Destination:
    """One destination with options of its own, for `Exporter(address=[...])`.

        Exporter(["gateway:9091", Destination("https://backup.example/push", push_interval=60.0)], "digits")

    Args:
        address: as for `Exporter`.
        push_interval: as for `Exporter`; by default the exporter's.
        timeout: as for `Exporter`; by default the exporter's.
        credentials: as for `Exporter`; by default those in the address, or in the environment for this host.

    Attributes:
        address: reads as it may be shown: without credentials.
    """

    address: str = field(repr=False)
    push_interval: float | None = None
    timeout: float | None = None
    credentials: Credentials | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", conceal(self.address))
        object.__setattr__(self, "credentials", hide(self.credentials))

    def __str__(self) -> str:
        """The address, without credentials."""
        return without_credentials(whole(self.address))

    @property
    def is_gateway(self) -> bool:
        """Whether it is a Pushgateway."""
        return scheme_of(self.address) in ("http", "https")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The checked options of an exporter; `Exporter` documents them.

    Attributes:
        destinations: at least one.
        framework: the info labels that the adapter gives.
        info: the info labels that the user gives.
        edges: of the weight histogram, None for no histogram.
        tensors: how many tensors are counted separately; 0 counts all weights together.
        update_every: n exports the metrics of every n-th step, None those of no step.
        name: the `run` label: "auto" for a generated name, None for no label.
        sink, handler: hidden, since they may hold a password.
        lost_password: whether pickling removed credentials from an address.
    """

    destinations: tuple[Destination, ...]
    sink: Callable[[str], Sink] | None = field(repr=False)
    handler: Handler | None = field(repr=False)
    job: str
    grouping_key: Mapping[str, str]
    name: str | None
    concurrent: bool
    per_rank: bool
    framework: Mapping[str, str]
    info: Mapping[str, str]
    metrics: frozenset[str] | None
    edges: tuple[float, ...] | None
    histogram_freq: int
    tensors: int
    update_every: int | None
    ignore_exceptions: bool
    push_interval: float
    timeout: float
    flush_timeout: float
    lost_password: bool = False

    @property
    def most_metrics(self) -> int:
        """How many metrics a run exports at most: a page has up to 2,000 series, those of the weights included."""
        taken = (self.tensors or 1) * (len(self.edges or ()) + 4)
        return max(50, min(MOST_METRICS, (1_900 - taken) // 2))

    @property
    def shortest_push_interval(self) -> float:
        """The shortest `push_interval` of all destinations."""
        intervals = (one.push_interval for one in self.destinations)
        return min(self.push_interval if own is None else own for own in intervals)

    def picklable(self) -> Settings:
        """Return the settings for a pickle, which leaves out passwords, as the settings of the other process then say.

        Raises:
            ConfigurationError: the sink, the handler or credentials cannot be pickled; the message suggests a fix.
        """
        credentials = (one.credentials for one in self.destinations)
        for name, given in (
            ("sink", self.sink),
            ("handler", self.handler),
            *(("credentials", one) for one in credentials),
        ):
            _check_picklable(name, given)
        lost = any(whole(one.address) != str(one) for one in self.destinations)
        return replace(self, lost_password=self.lost_password or lost)


def concealed(address: T) -> T:
    """Return what an exporter is given as its address so that whatever prints it prints no credentials."""
    if isinstance(address, Sequence) and not isinstance(address, str | bytes):
        return [concealed(one) for one in address]  # type: ignore[return-value]
    return address if isinstance(address, Destination) else conceal(address)


def check_destinations(
    address: str | Destination | Sequence[str | Destination],
    *,
    credentials: Credentials | None,
    handler: Handler | None,
    sink: Callable[[str], Sink] | None,
) -> tuple[Destination, ...]:
    """Return the destinations; the one Pushgateway among them gets the credentials.

    Raises:
        ConfigurationError: they are not addresses, or the handler or the credentials are not for one Pushgateway.
    """
    given = address if isinstance(address, Sequence) and not isinstance(address, str | bytes) else (address,)
    kinds = [kind_of(reveal(one)) for one in given if not isinstance(one, str | Destination)]
    if kinds or not given:
        raise ConfigurationError(
            f"the address is {(kinds or ['an empty list'])[0]}: give text such as host:port, a Destination, "
            "or a list of these"
        )
    destinations = tuple(one if isinstance(one, Destination) else Destination(one) for one in given)
    _check_callable("sink", sink, "a callable that returns the sink for an address")
    _check_callable("handler", handler, "a callable, such as prometheus_client's")
    for one in destinations:
        _check_destination(one, sink=sink)
    _check_callable("credentials", credentials, _CREDENTIALS)
    gateways = [one for one in destinations if one.is_gateway and one.credentials is None]
    for what, option in (("handler", handler), ("credentials", credentials)):
        if option is not None and (sink is not None or len(gateways) != 1):
            why = "sink= opens the destination" if sink is not None else f"{len(gateways)} addresses are Pushgateways"
            raise ConfigurationError(f"{what}= is for one Pushgateway, and {why}")
    if handler is not None and credentials is not None:
        raise ConfigurationError("there are credentials and a handler: the handler sends, so give them to the handler")
    return tuple(replace(one, credentials=credentials) if one in gateways else one for one in destinations)


def _check_destination(destination: Destination, *, sink: object) -> None:
    if not isinstance(destination.address, str):
        raise ConfigurationError(
            f"the address of a Destination is {kind_of(reveal(destination.address))}: give text such as host:port"
        )
    if destination.push_interval is not None:
        check_seconds("push_interval", destination.push_interval, zero=True)
    if destination.timeout is not None:
        check_seconds("timeout", destination.timeout)
    _check_callable("credentials", destination.credentials, _CREDENTIALS)
    if destination.credentials is not None and (sink is not None or not destination.is_gateway):
        raise ConfigurationError(f"credentials= are for a Pushgateway, and {destination} is not one")


def _check_callable(what: str, given: object, fix: str) -> None:
    if given is not None and not callable(reveal(given)):
        raise ConfigurationError(f"{what}= is {kind_of(reveal(given))}: give {fix}")


def check_run_name(run: str | None, *, concurrent: bool) -> str | None:
    """Return the name of the runs, None for no label.

    Raises:
        ConfigurationError: it is not text, or there is none although runs are concurrent.
    """
    if concurrent and run is None:
        raise ConfigurationError(
            "concurrent=True distinguishes runs by their `run` label: name the run, or leave run= out"
        )
    return run if run is None else check_value("run", run)


def check_flag(what: str, flag: bool) -> bool:  # noqa: FBT001  it is checked
    """Return an option that is either True or False; a text such as "False" would count as True."""
    if not isinstance(flag, bool):
        raise ConfigurationError(f"{what}={flag!r:.50}: give True or False, not {kind_of(flag)}")
    return flag


def check_seconds(what: str, seconds: float, *, zero: bool = False) -> float:
    """Return a number of seconds that is finite and above zero, or zero if `zero` allows it."""
    if (
        not isinstance(seconds, Real)
        or isinstance(seconds, bool)
        or not 0 <= seconds <= _LONGEST
        or (seconds == 0 and not zero)
    ):
        raise ConfigurationError(
            f"{what}={seconds!r:.50}: give seconds, {'zero or more' if zero else 'more than zero'}, a day at most"
        )
    return float(seconds)


def check_metrics(metrics: Iterable[str] | None) -> frozenset[str] | None:
    """Return the names of the metrics to export, None for all."""
    if metrics is None:
        return None
    if not isinstance(metrics, Iterable):
        raise ConfigurationError(f'metrics={metrics!r}: give a list of names, such as metrics=["loss"]')
    if isinstance(metrics, str):
        raise ConfigurationError(f'metrics={metrics!r}: give a list of names, such as metrics=["{metrics}"]')
    names = list(metrics)
    for name in names:
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"metrics contains {name!r}: give names of metrics, as the framework logs them")
    return frozenset(names)


def check_frequency(histogram_freq: int) -> int:
    """Return n if the weights are counted every n epochs, 0 if they are counted only at the end."""
    if not isinstance(histogram_freq, int) or isinstance(histogram_freq, bool) or histogram_freq < 0:
        raise ConfigurationError(
            f"histogram_freq={histogram_freq!r}: give n for every n epochs and the end, or 0 for the end only"
        )
    return histogram_freq


def check_edges(buckets: Iterable[float] | str | None) -> tuple[float, ...] | None:
    """Return the edges of the weight histogram, None for no histogram."""
    if buckets is None:
        return None
    if isinstance(buckets, str) and buckets == "auto":
        return HISTOGRAM_WEIGHT_BUCKETS_AUTO
    return edges_of(buckets)


def check_tensors(per_tensor: int, edges: tuple[float, ...] | None) -> int:
    """Return how many tensors are counted separately."""
    if not isinstance(per_tensor, int) or per_tensor < 0:
        raise ConfigurationError(
            f"per_tensor={per_tensor!r}: give True for the {MOST_TENSORS} largest tensors, or n for the n largest"
        )
    if per_tensor is True:
        return min(MOST_TENSORS, MOST_WEIGHT_SERIES // (len(edges or ()) + 4))
    return int(per_tensor)


def check_update_freq(update_freq: int | str) -> int | None:
    """Return n if the metrics of every n-th step are exported, None if those of no step are."""
    if isinstance(update_freq, str) and update_freq == "epoch":
        return None
    every = 1 if isinstance(update_freq, str) and update_freq == "batch" else update_freq
    if not isinstance(every, int) or isinstance(every, bool) or every < 1:
        raise ConfigurationError(
            f'update_freq={update_freq!r}: give "epoch" for epochs only, "batch" for every step, or n for every n steps'
        )
    return every


def _check_picklable(name: str, given: object) -> None:
    # cloudpickle can pickle more, and may be in use.
    if not _is_picklable(given) and "cloudpickle" not in sys.modules:
        raise ConfigurationError(
            f"{name}= is a {type(reveal(given)).__name__} that cannot be pickled: use a function at the top of a module"
        )


def _is_picklable(given: object) -> bool:
    try:
        pickle.dumps(given)
    except Exception:  # noqa: BLE001  pickle raises anything, and its message may show a password
        return False
    return True
