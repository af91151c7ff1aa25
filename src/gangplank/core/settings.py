"""What the user asked for, checked at construction: a mistake costs no training."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Protocol

from gangplank.core.address import Written, scheme_of
from gangplank.core.buckets import HISTOGRAM_WEIGHT_BUCKETS_AUTO, MOST_TENSORS, MOST_WEIGHT_SERIES, edges_of
from gangplank.core.credentials import Credentials
from gangplank.core.errors import ConfigurationError
from gangplank.core.info import INFO_LABELS
from gangplank.core.naming import check_labels, check_value
from gangplank.core.sinks import Sink

_LONGEST = 86_400.0
# Each is two series: its value and its epoch.
MOST_METRICS = 800


class Handler(Protocol):
    """prometheus_client's contract: called with these keywords, it returns a callable that sends."""

    def __call__(
        self, url: str, method: str, timeout: float | None, headers: list[tuple[str, str]], data: bytes
    ) -> Callable[[], None]:
        """Return what sends the data."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of an exporter, as its constructor documents them.

    Attributes:
        edges: of the weight histogram, or None for no histogram.
        tensors: of how many tensors the weights are counted apart; 0 for all weights together.
        update_every: of how many steps the metrics of one are taken, or None for no step's.
        name: of each run: "auto" for one that is made, None for no `run` label.
        lost_password: whether pickling took credentials out of an address.
    """

    addresses: tuple[Written, ...]
    sink: Callable[[str], Sink] | None = field(repr=False)  # any of these may hold a password
    handler: Handler | None = field(repr=False)
    credentials: Credentials | None = field(repr=False)
    job: str
    grouping_key: Mapping[str, str]
    name: str | None
    concurrent: bool
    per_rank: bool
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
        """How many metrics a run exports at most: a page has some 2,000 series, and the weights take theirs."""
        taken = (self.tensors or 1) * (len(self.edges or ()) + 4)
        return max(50, min(MOST_METRICS, (1_900 - taken) // 2))

    def picklable(self) -> Settings:
        """Return the settings as they may be pickled: without a password.

        Raises:
            ConfigurationError: the sink, the handler or the credentials cannot be pickled, with the cure.
        """
        for name, given in (("sink", self.sink), ("handler", self.handler), ("credentials", self.credentials)):
            _check_picklable(name, given)
        bare = tuple(Written(str(address)) for address in self.addresses)
        return replace(self, addresses=bare, lost_password=self.lost_password or bare != self.addresses)


def check_settings(
    *,
    address: str | Sequence[str],
    sink: Callable[[str], Sink] | None,
    handler: Handler | None,
    credentials: Credentials | None,
    job: str,
    grouping_key: Mapping[str, object] | None,
    run: str | None,
    concurrent: bool,
    per_rank: bool,
    info: Mapping[str, object] | None,
    metrics: Iterable[str] | None,
    histogram_buckets: Iterable[float] | str | None,
    per_tensor: bool | int,
    histogram_freq: int,
    update_freq: int | str,
    ignore_exceptions: bool,
    push_interval: float,
    timeout: float,
    flush_timeout: float,
) -> Settings:
    """Return the settings, or raise ConfigurationError with the cure."""
    if concurrent and run is None:
        raise ConfigurationError(
            "concurrent=True tells runs apart by their `run` label: name the run, or leave run= out"
        )
    addresses = _addresses(address)
    _check_callable("sink", sink, "a callable that returns the sink for an address")
    _check_callable("handler", handler, "a callable, such as prometheus_client's")
    _check_callable("credentials", credentials, "a callable that returns (user, password), or the whole header")
    _check_who_sends(addresses, sink=sink, handler=handler, credentials=credentials)
    checked_info = check_labels("info", info)
    edges = _edges(histogram_buckets)
    return Settings(
        addresses=addresses,
        sink=sink,
        handler=handler,
        credentials=credentials,
        job=check_value("job", job),
        grouping_key=check_labels("grouping_key", grouping_key, reserved=(*INFO_LABELS, *checked_info)),
        name=run if run is None else check_value("run", run),
        concurrent=concurrent,
        per_rank=per_rank,
        info=checked_info,
        metrics=None if metrics is None else _metric_names(metrics),
        edges=edges,
        histogram_freq=_frequency(histogram_freq),
        tensors=_tensors(per_tensor, edges),
        update_every=_every(update_freq),
        ignore_exceptions=ignore_exceptions,
        push_interval=_seconds("push_interval", push_interval, zero=True),
        timeout=_seconds("timeout", timeout),
        flush_timeout=_seconds("flush_timeout", flush_timeout, zero=True),
    )


def disabled() -> bool:
    """Return whether `GANGPLANK_DISABLED` turns every exporter off."""
    return os.environ.get("GANGPLANK_DISABLED", "").lower() not in ("", "0", "false")


def _addresses(address: str | Sequence[str]) -> tuple[Written, ...]:
    addresses = (address,) if isinstance(address, str) else tuple(address) if isinstance(address, Sequence) else ()
    if not addresses or not all(isinstance(one, str) for one in addresses):
        raise ConfigurationError(
            f"the address is a {type(address).__name__}: give text such as host:port, or a list of it"
        )
    return tuple(map(Written, addresses))


def _check_callable(what: str, given: object, cure: str) -> None:
    if given is not None and not callable(given):
        raise ConfigurationError(f"{what}= is a {type(given).__name__}: give {cure}")


def _check_who_sends(
    addresses: tuple[Written, ...], *, sink: object | None, handler: object | None, credentials: object | None
) -> None:
    """Refuse a handler or credentials that are for nobody, or for more than one."""
    gateways = [address for address in addresses if scheme_of(address.text) in ("http", "https")]
    for what, given in (("handler", handler), ("credentials", credentials)):
        if given is not None and (sink is not None or len(gateways) != 1):
            there = "sink= is who sends" if sink is not None else f"the addresses are of {len(gateways)}"
            raise ConfigurationError(f"{what}= is for one Pushgateway, and {there}")
    if handler is not None and credentials is not None:
        raise ConfigurationError("credentials and a handler: the handler is who sends, so give them to it")


def _seconds(what: str, seconds: float, *, zero: bool = False) -> float:
    """Return a number of seconds that is finite and above zero (or zero, where that means something)."""
    if not isinstance(seconds, Real) or not 0 <= seconds <= _LONGEST or (seconds == 0 and not zero):
        raise ConfigurationError(
            f"{what}={seconds!r:.50}: give seconds, {'zero or more' if zero else 'more than zero'}, a day at most"
        )
    return float(seconds)


def _metric_names(metrics: Iterable[str]) -> frozenset[str]:
    if not isinstance(metrics, Iterable):
        raise ConfigurationError(f'metrics={metrics!r}: give a list of names, such as metrics=["loss"]')
    if isinstance(metrics, str):
        raise ConfigurationError(f'metrics={metrics!r}: give a list of names, such as metrics=["{metrics}"]')
    names = list(metrics)
    for name in names:
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"metrics holds {name!r}: a metric's name is text, as the framework logs it")
    return frozenset(names)


def _frequency(histogram_freq: int) -> int:
    if not isinstance(histogram_freq, int) or isinstance(histogram_freq, bool) or histogram_freq < 0:
        raise ConfigurationError(
            f"histogram_freq={histogram_freq!r}: give n for every n epochs and the end, or 0 for the end only"
        )
    return histogram_freq


def _edges(buckets: Iterable[float] | str | None) -> tuple[float, ...] | None:
    if buckets is None:
        return None
    if isinstance(buckets, str) and buckets == "auto":
        return HISTOGRAM_WEIGHT_BUCKETS_AUTO
    return edges_of(buckets)


def _tensors(per_tensor: int, edges: tuple[float, ...] | None) -> int:
    if not isinstance(per_tensor, int) or per_tensor < 0:
        raise ConfigurationError(
            f"per_tensor={per_tensor!r}: give True for the {MOST_TENSORS} largest tensors, or n for the n largest"
        )
    if per_tensor is True:
        return min(MOST_TENSORS, MOST_WEIGHT_SERIES // (len(edges or ()) + 4))
    return int(per_tensor)


def _every(update_freq: int | str) -> int | None:
    if update_freq == "epoch":
        return None
    every = 1 if update_freq == "batch" else update_freq
    if not isinstance(every, int) or isinstance(every, bool) or every < 1:
        raise ConfigurationError(
            f'update_freq={update_freq!r}: give "epoch" for epochs only, "batch" for every step, or n for every n steps'
        )
    return every


def _check_picklable(name: str, given: object) -> None:
    try:
        pickle.dumps(given)
    except Exception:  # noqa: BLE001  picklers raise anything; what they say may show a password
        if "cloudpickle" in sys.modules:  # which may be who pickles, and can do more
            return
        raise ConfigurationError(
            f"{name}= is a {type(given).__name__} that cannot be pickled: use a function at the top of a module"
        ) from None
