"""What a training framework knows, in Prometheus: metrics, weight histograms and how a run stands.

Importing this imports no framework: `TrainTestExporter` imports Keras when it is first used. Where Keras cannot be
imported, it is a class that says why when it is constructed.
"""

from __future__ import annotations

import os
import sys
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
from gangplank.core.stand_in import stand_in
from gangplank.core.version import VERSION

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

__version__ = VERSION

_NOT_FOR_KERAS = (
    "gangplank.TrainTestExporter is for Keras: with Lightning, use gangplank.lightning.TrainTestExporter; "
    "to train with Keras in a process that has imported torch, import keras before it"
)

# Ours come first; what is installed besides is loaded with the first Run.
plugins.register(exporter)
plugins.register(_builtin)


def _trains_without_keras() -> bool:
    """Whether this is a process of Lightning or torch, which Keras must not join because somebody looks at a name.

    LightningCLI does, for its callback's; and TensorFlow beside torch may crash the process.
    """
    if sys.modules.get("lightning.pytorch") or sys.modules.get("pytorch_lightning"):
        return True
    return bool(sys.modules.get("torch")) and os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow"


def __getattr__(name: str) -> Any:
    if name == "TrainTestExporter":
        if "keras" not in sys.modules and _trains_without_keras():
            return stand_in(name, __name__, ConfigurationError(_NOT_FOR_KERAS))
        try:
            from gangplank.keras import TrainTestExporter  # noqa: PLC0415  so that importing us imports no Keras
        except Exception as error:  # noqa: BLE001  a framework that is missing or broken: whoever uses the name is told
            return stand_in(name, __name__, error)
        return TrainTestExporter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
