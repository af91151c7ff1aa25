"""Names: legal, not reserved, each for one thing only."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from gangplank.core.errors import ConfigurationError, MetricError

Phase = Literal["train", "validate", "test", "predict"]
PHASES: tuple[str, ...] = get_args(Phase)

# What frameworks put in front of a metric to say its phase, which our names say already.
_PHASE_PREFIX = {
    "train": re.compile(r"train[^a-zA-Z0-9]+(?=.)", re.DOTALL),
    "validate": re.compile(r"(?:val|validate)[^a-zA-Z0-9]+(?=.)", re.DOTALL),
    "test": re.compile(r"test[^a-zA-Z0-9]+(?=.)", re.DOTALL),
    "predict": re.compile(r"predict[^a-zA-Z0-9]+(?=.)", re.DOTALL),
}
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_]")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_LONGEST = 150

# Families of ours that a metric of the user's would be taken for: `gangplank_<phase>_<one of these>`.
RESERVED_METRICS = frozenset(
    {
        "elapsed_time_seconds",
        "learning_rate",
        "model_parameters",
        "model_weights",
        "model_weights_bucket",
        "model_weights_count",
        "model_weights_nonfinite",
        "model_weights_sum",
    }
)
# Labels that break a page, break every page of a gateway, or silently overwrite what is there.
RESERVED_LABELS = frozenset(
    {
        "instance",
        "job",
        "le",
        "metric",
        "optimizer",
        "phase",
        "quantile",
        "rank",
        "reason",
        "run",
        "state",
        "tensor",
        "trainable",
    }
)


class MetricNames:
    """The names that the metrics of one run got: one to one, and the same for as long as the run lasts.

    A metric `m` of phase `p` is exported as `gangplank_<p>_<names[m]>`.
    """

    def __init__(self, phase: str) -> None:
        self._prefix = _PHASE_PREFIX[phase]
        self._names: dict[str, str] = {}
        self._taken = set(RESERVED_METRICS)

    def __contains__(self, metric: str) -> bool:
        return metric in self._names

    def __getitem__(self, metric: str) -> str:
        return self._names[metric]

    def __len__(self) -> int:
        return len(self._names)

    def add(self, metrics: Iterable[str]) -> dict[str, str]:
        """Name the metrics that have no name yet; returns these with their names.

        Names that need no change come first, then the others in alphabetical order, so that which of two colliding
        names is kept apart does not depend on the order of a dict. No metric may be empty.
        """
        new = {metric: _sanitised(metric) for metric in metrics if metric not in self}
        added = {}
        for metric in sorted(new, key=lambda metric: (new[metric] != metric, metric)):
            added[metric] = self._names[metric] = self._free_name(metric, new[metric])
            self._taken.add(added[metric])
        return added

    def _free_name(self, metric: str, plain: str) -> str:
        short = _sanitised(self._prefix.sub("", metric, count=1)) if self._prefix.match(metric) else plain
        for name in (short, plain):
            if name not in self._taken:
                return name
        attempt = 0
        while (name := f"{plain}_{_digest(metric, attempt)}") in self._taken:
            attempt += 1
        return name


def _sanitised(metric: str) -> str:
    name = _ILLEGAL.sub("_", metric)
    if len(name) > _LONGEST:
        return f"{name[:_LONGEST]}_{_digest(metric)}"
    return name if name.strip("_") else f"metric_{_digest(metric)}"


def _digest(text: str, attempt: int = 0) -> str:
    return hashlib.sha256(f"{attempt}:{text}".encode(errors="surrogatepass")).hexdigest()[:8]


def new_run_name() -> str:
    """Return a name for a run: sorted by time, and another one each time."""
    now = dt.datetime.now(dt.UTC)
    return f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}-{secrets.token_hex(2)}"


def check_phase(phase: str) -> str:
    """Return a phase that is one of `PHASES`, or raise ConfigurationError."""
    if phase not in PHASES:
        raise ConfigurationError(f"phase={phase!r}: a phase is one of {', '.join(PHASES)}")
    return phase


def check_metric(name: object) -> str:
    """Return the name under which a framework logs a metric, or raise MetricError."""
    if not isinstance(name, str) or not name:
        raise MetricError("its name is no text", "name")
    return name


def check_value(what: str, value: str) -> str:
    """Return a label value that Prometheus can hold, or raise ConfigurationError saying why it cannot."""
    if not isinstance(value, str):
        raise ConfigurationError(f"{what}={value!r}: give text, not a {type(value).__name__}")
    if not value:
        raise ConfigurationError(f"{what} is empty: to Prometheus an empty label is no label")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"{what}={value!r}: holds a lone surrogate: that is no UTF-8, and would break the gateway's whole page"
        ) from None
    return value


def check_labels(what: str, labels: Mapping[str, object] | None, *, reserved: Iterable[str] = ()) -> dict[str, str]:
    """Return a user's labels as text, in their order.

    Raises:
        ConfigurationError: a name that is not legal, or that is reserved (`RESERVED_LABELS`, names that begin with
            `__`, and `reserved`), or a value that is empty or no valid UTF-8.
    """
    if labels is not None and not isinstance(labels, Mapping):
        raise ConfigurationError(f"{what} is a {type(labels).__name__}: give a dict of label names and values")
    checked = {}
    for name, value in (labels or {}).items():
        if not isinstance(name, str) or not _LABEL.fullmatch(name):
            raise ConfigurationError(f"{what}: {name!r} is no label name: it must match {_LABEL.pattern}")
        if name.startswith("__"):
            raise ConfigurationError(f"{what}: {name!r} begins with __, which Prometheus keeps for itself: rename it")
        if name in RESERVED_LABELS or name in reserved:
            raise ConfigurationError(f"{what}: the label {name!r} is one that gangplank or Prometheus sets: rename it")
        checked[name] = check_value(f"{what}[{name!r}]", str(value))
    return checked
