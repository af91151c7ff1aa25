"""Exports the metrics, weights and state of a training run, and the predictions of a model, to Prometheus.

Importing this imports no framework: the first use of `TrainTestExporter` imports Keras. If Keras cannot be imported,
`TrainTestExporter` is a class that raises the reason when it is constructed.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from gangplank._stand_in import stand_in
from gangplank.core.adapter import AdapterExporter
from gangplank.core.caller import watch_caller
from gangplank.core.errors import (
    ConfigurationError,
    DeliveryError,
    ExportError,
    GangplankError,
    MetricError,
    MissingExtraError,
)
from gangplank.core.exporter import Exporter, run
from gangplank.core.options import ExporterOptions, KeywordOptions
from gangplank.core.page.page import Page
from gangplank.core.plugins.hookspecs import hookimpl
from gangplank.core.run import Run
from gangplank.core.settings import Destination
from gangplank.core.sinks.base import Handler, Sink
from gangplank.core.sinks.credentials import Credentials
from gangplank.core.types import Adapter, Delivery, Group, Outcome, RunInfo, Snapshot
from gangplank.core.version import VERSION
from gangplank.core.weights.buckets import HISTOGRAM_WEIGHT_BUCKETS_0_3, HISTOGRAM_WEIGHT_BUCKETS_1_0
from gangplank.predict.drift import Drift
from gangplank.predict.instrument import instrument
from gangplank.predict.model import PrometheusModel

if TYPE_CHECKING:
    from gangplank.keras.exporter import TrainTestExporter

__all__ = [
    "HISTOGRAM_WEIGHT_BUCKETS_0_3",
    "HISTOGRAM_WEIGHT_BUCKETS_1_0",
    "Adapter",
    "AdapterExporter",
    "ConfigurationError",
    "Credentials",
    "Delivery",
    "DeliveryError",
    "Destination",
    "Drift",
    "ExportError",
    "Exporter",
    "ExporterOptions",
    "GangplankError",
    "Group",
    "Handler",
    "KeywordOptions",
    "MetricError",
    "MissingExtraError",
    "Outcome",
    "Page",
    "PrometheusModel",
    "Run",
    "RunInfo",
    "Sink",
    "Snapshot",
    "TrainTestExporter",
    "hookimpl",
    "instrument",
    "run",
    "watch_caller",
]

__version__ = VERSION

_NOT_FOR_KERAS = (
    "gangplank.TrainTestExporter is for Keras: gangplank.lightning and gangplank.transformers have others; "
    "to train with Keras in a process that has imported torch, import keras before it"
)


def _trains_without_keras() -> bool:
    """Return whether Lightning, or torch without Keras, trains in this process.

    Then reading the name `TrainTestExporter` must not import Keras: LightningCLI reads it when it looks for a callback,
    and TensorFlow in the same process as torch may crash it.
    """
    if sys.modules.get("lightning.pytorch") or sys.modules.get("pytorch_lightning"):
        return True
    return bool(sys.modules.get("torch")) and os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow"


def __getattr__(name: str) -> Any:
    if name == "TrainTestExporter":
        if "keras" not in sys.modules and _trains_without_keras():
            return stand_in(name, __name__, ConfigurationError(_NOT_FOR_KERAS))
        try:
            from gangplank.keras import TrainTestExporter  # noqa: PLC0415  importing gangplank must not import Keras
        except Exception as error:  # noqa: BLE001  a broken framework raises anything; constructing the class raises it
            return stand_in(name, __name__, error)
        return TrainTestExporter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
