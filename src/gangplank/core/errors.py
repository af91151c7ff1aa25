"""Everything that gangplank raises on purpose.

GangplankError
├── ConfigurationError    before training: what the user wrote cannot work; the message holds the cure (ValueError)
├── MissingExtraError     before training: a package is not installed; the message says which (ImportError)
└── ExportError           during a run, and only where the user asked for it with `ignore_exceptions=False`
    ├── MetricError       a value or an array that cannot be exported
    └── DeliveryError     a page that did not arrive
"""

from __future__ import annotations

from typing import Literal, get_args

from gangplank.core.version import how_to_install

FailureReason = Literal["internal", "rejected", "server_error", "timeout", "unreachable"]
DropReason = Literal["name", "not_numeric", "too_large", "too_many", "weights"]

# Every reason is exported from the start, at zero: a counter that appears at 1 has no increase to alert on.
FAILURE_REASONS: tuple[FailureReason, ...] = get_args(FailureReason)
DROP_REASONS: tuple[DropReason, ...] = get_args(DropReason)


class GangplankError(Exception):
    """The root of what gangplank raises."""


class ConfigurationError(GangplankError, ValueError):
    """What the user wrote cannot work; raised at construction, before any training."""


class MissingExtraError(GangplankError, ImportError):
    """A package that is no dependency of the core is not installed.

    Args:
        message: what is missing, and what for.
        extras: of gangplank, which bring it; the message then ends with how to install them.
    """

    def __init__(self, message: str, *extras: str) -> None:
        super().__init__(f"{message}: {how_to_install(*extras)}" if extras else message)


class ExportError(GangplankError):
    """Exporting failed during a run."""


class MetricError(ExportError):
    """A metric or an array cannot be exported.

    Args:
        message: what it is and why.
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
        message: where it was sent and what came back; holds no credential.
        reason: the `reason` label it is counted under in `gangplank_run_export_failures_total`.
    """

    def __init__(self, message: str, reason: FailureReason) -> None:
        super().__init__(message)
        self.reason: FailureReason = reason

    def __reduce__(self) -> tuple[type[DeliveryError], tuple[str, FailureReason]]:
        return type(self), (str(self), self.reason)
