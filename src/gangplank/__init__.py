"""What a training framework knows, in Prometheus: metrics, weight histograms and how a run stands.

Importing this imports no framework: `TrainTestExporter` imports Keras when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gangplank import _builtin
from gangplank.core import exporter, plugins
from gangplank.core.buckets import HISTOGRAM_WEIGHT_BUCKETS_0_3, HISTOGRAM_WEIGHT_BUCKETS_1_0
from gangplank.core.credentials import Credentials
from gangplank.core.errors import (
    ConfigurationError,
    DeliveryError,
    ExportError,
    GangplankError,
    MetricError,
    MissingExtraError,
)
from gangplank.core.hookspecs import hookimpl
from gangplank.core.page import Page
from gangplank.core.run import Run
from gangplank.core.settings import Handler
from gangplank.core.sinks import Sink
from gangplank.core.snapshot import Adapter, Delivery, Group, Outcome, RunInfo, Snapshot

if TYPE_CHECKING:
    from gangplank.keras.exporter import TrainTestExporter

__all__ = [
    "HISTOGRAM_WEIGHT_BUCKETS_0_3",
    "HISTOGRAM_WEIGHT_BUCKETS_1_0",
    "Adapter",
    "ConfigurationError",
    "Credentials",
    "Delivery",
    "DeliveryError",
    "ExportError",
    "GangplankError",
    "Group",
    "Handler",
    "MetricError",
    "MissingExtraError",
    "Outcome",
    "Page",
    "Run",
    "RunInfo",
    "Sink",
    "Snapshot",
    "TrainTestExporter",
    "hookimpl",
]

# Ours come first; what is installed besides is loaded with the first Run.
plugins.register(exporter)
plugins.register(_builtin)


def __getattr__(name: str) -> Any:
    if name == "TrainTestExporter":
        from gangplank.keras import TrainTestExporter  # noqa: PLC0415  only here, so that importing us imports no Keras

        return TrainTestExporter
    if name == "__version__":
        import importlib.metadata  # noqa: PLC0415  slow, and rarely needed

        return importlib.metadata.version("gangplank")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
