"""Labels: the names and values that a user may give, the phases, and the `run` label."""

from __future__ import annotations

import datetime as dt
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from gangplank.core.errors import ConfigurationError, kind_of

Phase = Literal["train", "validate", "test", "predict"]
PHASES: tuple[str, ...] = get_args(Phase)

# Labels that break a page, break every page of a gateway, silently overwrite one of our labels, or stop an alert for
# every run, because it sets them itself.
RESERVED_LABELS = frozenset(
    {
        "activity",
        "alertname",
        "destination",
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
        "severity",
        "state",
        "tensor",
        "trainable",
    }
)
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def new_run_name() -> str:
    """Return a new, unique name for a run; names sort by time."""
    now = dt.datetime.now(dt.UTC)
    return f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}-{secrets.token_hex(2)}"


def check_phase(phase: str) -> str:
    """Return a phase that is one of `PHASES`, or raise ConfigurationError."""
    if phase not in PHASES:
        raise ConfigurationError(f"phase={phase!r}: a phase is one of {', '.join(PHASES)}")
    return phase


def check_value(what: str, value: object) -> str:
    """Return a label value that Prometheus can hold, or raise ConfigurationError with the reason why it cannot."""
    if not isinstance(value, str):
        raise ConfigurationError(f"{what}={value!r}: give text, not {kind_of(value)}")
    if not value:
        raise ConfigurationError(f"{what} is empty: Prometheus treats an empty label as a missing one")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"{what}={value!r} holds a lone surrogate: that is not valid UTF-8, and would break the gateway's page"
        ) from None
    return value


def check_labels(what: str, labels: Mapping[str, object] | None, *, reserved: Iterable[str] = ()) -> dict[str, str]:
    """Return a user's labels as text, in their order.

    Raises:
        ConfigurationError: a name is not valid, or is reserved (`RESERVED_LABELS`, names that begin with `__`, and
            `reserved`), or a value is None, bytes, empty or not valid UTF-8.
    """
    if labels is not None and not isinstance(labels, Mapping):
        raise ConfigurationError(f"{what} is {kind_of(labels)}: give a dict of label names and values")
    checked = {}
    for name, value in (labels or {}).items():
        if not isinstance(name, str) or not _LABEL.fullmatch(name):
            raise ConfigurationError(f"{what}: {name!r} is not a valid label name: it must match {_LABEL.pattern}")
        if name.startswith("__"):
            raise ConfigurationError(f"{what}: {name!r} begins with __, which Prometheus reserves: rename it")
        if name in RESERVED_LABELS or name in reserved:
            raise ConfigurationError(f"{what}: the label {name!r} is one that gangplank or Prometheus sets: rename it")
        # The text of these is not what anyone means.
        text = value if value is None or isinstance(value, bytes) else str(value)
        checked[name] = check_value(f"{what}[{name!r}]", text)
    return checked
