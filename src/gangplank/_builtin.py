"""Gangplank's own adapters and sinks, announced through the plugin hooks by name, so that none of them is imported."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from gangplank.core.plugins.hookspecs import hookimpl
from gangplank.core.sinks.address import scheme_of
from gangplank.core.sinks.base import Sink
from gangplank.core.types import Adapter
from gangplank.core.version import how_to_install

SINKS = {
    "http": "gangplank.core.sinks.pushgateway:Pushgateway",
    "https": "gangplank.core.sinks.pushgateway:Pushgateway",
    "file": "gangplank.core.sinks.textfile:Textfile",
    "scrape": "gangplank.core.sinks.scrape:Scrape",
}

ADAPTERS = (
    Adapter(
        name="keras",
        framework="keras",
        exporter="gangplank.keras:TrainTestExporter",
        install=f"{how_to_install('tensorflow')} (or [jax], or [torch])",
    ),
    Adapter(
        name="lightning",
        framework="pytorch_lightning",  # the distribution `lightning` depends on it
        exporter="gangplank.lightning:TrainTestExporter",
        install=how_to_install("lightning"),
    ),
    Adapter(
        name="transformers",
        framework="transformers",
        exporter="gangplank.transformers:TrainTestExporter",
        install=how_to_install("transformers"),
    ),
    Adapter(
        name="xgboost",
        framework="xgboost",
        exporter="gangplank.xgboost:TrainTestExporter",
        install=how_to_install("xgboost"),
    ),
)


@hookimpl
def gangplank_open_sink(address: str) -> Sink | None:
    """Open a built-in sink."""
    place = SINKS.get(scheme_of(address))
    if place is None:
        return None
    module, name = place.split(":")
    sink: Sink = getattr(importlib.import_module(module), name)(address)
    return sink


@hookimpl
def gangplank_adapters() -> Iterable[Adapter]:
    """Return the built-in adapters."""
    return ADAPTERS
