"""What a user may choose of the alerts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from gangplank import ConfigurationError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?")
_RUNBOOKS = "https://github.com/hammingweight/gangplank/blob/main/docs/alerts.md"


def _duration(text: str) -> str:
    parts = _DURATION.fullmatch(text)
    seconds = sum(int(part[:-1]) * _UNITS[part[-1]] for part in parts.groups() if part) if parts else 0
    if not seconds:
        raise ConfigurationError("is not a duration: give one such as 90s, 10m or 1h30m")
    return str(seconds)


def _number(text: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)?", text) or not float(text):
        raise ConfigurationError("is not a positive number: give one such as 0.5")
    return text


def _label(text: str) -> str:
    if not re.fullmatch(r"[\w./:-]+", text):
        raise ConfigurationError("is not a job name of letters, digits and ./:_-")
    return text


def _url(text: str) -> str:
    if not re.fullmatch(r"https?://[\w./:?=&%~+-]+", text):
        raise ConfigurationError("is not a URL: give one such as https://wiki.example.com/gangplank")
    return text


class Threshold(NamedTuple):
    """One choice.

    Attributes:
        name: of the option, with underscores.
        default: as text.
        read: returns what the rules contain for a text; raises ConfigurationError.
        help: what it chooses.
    """

    name: str
    default: str
    read: Callable[[str], str]
    help: str


THRESHOLDS = (
    Threshold("dead_after", "3m", _duration, "RunDead: the age of a heartbeat; one is sent each minute"),
    Threshold("stuck_after", "10m", _duration, "RunStuck: the shortest time without progress"),
    Threshold(
        "stuck_without_steps",
        "1h",
        _duration,
        "RunStuck: the same before the first timed step, in evaluations and while saving",
    ),
    Threshold("slow_below", "0.5", _number, "RunSlow: throughput, as a fraction of the mean of its last day"),
    Threshold("nonfinite_for", "5m", _duration, "MetricNotFinite: for how long; half precision skips single steps"),
    Threshold("loss_factor", "3", _number, "LossDiverging: the loss, as a multiple of its best"),
    Threshold("validation_factor", "1.1", _number, "ValidationLossRising: the same for the validation loss"),
    Threshold("failed_for", "1h", _duration, "RunFailed: how long the alert fires"),
    Threshold("checkpoint_after", "2h", _duration, "CheckpointTooOld: the work that would be lost"),
    Threshold("goodput_below", "0.5", _number, "GoodputLow: the fraction of the time that went into kept training"),
    Threshold(
        "straggler_above", "0.2", _number, "Straggler: the fraction of its time that a rank is behind the fastest"
    ),
    Threshold("gpu_idle_below", "10", _number, "GpuIdle: the percentage that the busiest GPU is in use"),
    Threshold("gateway_job", "pushgateway", _label, "PushgatewayDown: the job_name of the gateway in Prometheus"),
    Threshold("runbooks", _RUNBOOKS, _url, "the page that the alerts link to"),
)


def read(chosen: Mapping[str, str]) -> dict[str, str]:
    """Return what the rules contain for each threshold.

    Args:
        chosen: other values than the defaults, by name, as text.

    Raises:
        ConfigurationError: there is no such threshold, or a value cannot be one.
    """
    if unknown := chosen.keys() - {threshold.name for threshold in THRESHOLDS}:
        raise ConfigurationError(f"{min(unknown)} is not a threshold of the alerts")
    contained = {}
    for threshold in THRESHOLDS:
        text = chosen.get(threshold.name, threshold.default)
        try:
            contained[threshold.name] = threshold.read(text)
        except ConfigurationError as error:
            raise ConfigurationError(f"{threshold.name} {text!r:.80} {error}") from None
    return contained
