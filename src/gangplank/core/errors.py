"""The exceptions that gangplank raises.

GangplankError
├── ConfigurationError    before training: an argument cannot work; the message suggests a fix (ValueError)
├── MissingExtraError     before training: a package is not installed; the message names it (ImportError)
└── ExportError           during a run, and only with `ignore_exceptions=False`
    ├── MetricError       a value or an array that cannot be exported
    └── DeliveryError     a page that did not arrive
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from gangplank.core.version import how_to_install

FailureReason = Literal["internal", "rejected", "server_error", "timeout", "unreachable"]
DropReason = Literal["name", "not_numeric", "too_large", "too_many", "weights"]

# Each reason is exported from the start, at zero: an alert on the increase misses a counter that first appears at 1.
FAILURE_REASONS: tuple[FailureReason, ...] = get_args(FailureReason)
DROP_REASONS: tuple[DropReason, ...] = get_args(DropReason)


def kind_of(thing: object) -> str:
    """Return the type of a thing, for a message: `a list`, `an int`, `bytes`, `None`."""
    name = "None" if thing is None else type(thing).__name__
    if name in ("None", "bytes"):
        return name
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"


class GangplankError(Exception):
    """The base class of all exceptions of gangplank."""


class ConfigurationError(GangplankError, ValueError):
    """An argument cannot work; raised at construction, before training starts."""


class MissingExtraError(GangplankError, ImportError):
    """An optional package is not installed.

    Args:
        message: what is missing, and what needs it.
        extras: the extras of gangplank that install it; the message then ends with the command that installs them.
    """

    def __init__(self, message: str, *extras: str) -> None:
        super().__init__(f"{message}: {how_to_install(*extras)}" if extras else message)


class ExportError(GangplankError):
    """Exporting failed during a run."""


class MetricError(ExportError):
    """A metric or an array cannot be exported.

    Args:
        message: which metric or array it is, and why it cannot be exported.
        reason: the `reason` label it is counted under in `gangplank_run_dropped_metrics_total`.
    """

    def __init__(self, message: str, reason: DropReason) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[MetricError], tuple[str, DropReason]]:
        return type(self), (str(self), self.reason)


class DeliveryError(ExportError):
    """A page did not arrive.

    Args:
        message: the destination and its answer; contains no credentials.
        reason: the `reason` label it is counted under in `gangplank_run_export_failures_total`.
        retry: whether sending the same page again may succeed. If not, the page is sent again once it has changed.
        retry_after: seconds to wait before the next attempt, as the destination demands.
    """

    def __init__(
        self, message: str, reason: FailureReason, *, retry: bool = True, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.reason: FailureReason = reason
        self.retry = retry
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.reason), {"retry": self.retry, "retry_after": self.retry_after}
