"""Gangplank's own adapters and sinks, announced through the plugins' door, in text: naming one imports nothing."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from gangplank.core.address import scheme_of
from gangplank.core.hookspecs import hookimpl
from gangplank.core.sinks import Sink
from gangplank.core.snapshot import Adapter
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
        framework="pytorch_lightning",  # the wheel `lightning` brings it along
        exporter="gangplank.lightning:TrainTestExporter",
        install=how_to_install("lightning"),
    ),
)


@hookimpl
def gangplank_open_sink(address: str) -> Sink | None:
    """Open a sink of ours."""
    place = SINKS.get(scheme_of(address))
    if place is None:
        return None
    module, name = place.split(":")
    sink: Sink = getattr(importlib.import_module(module), name)(address)
    return sink


@hookimpl
def gangplank_adapters() -> Iterable[Adapter]:
    """Name the adapters of ours."""
    return ADAPTERS
