"""Announces the adapter for LightGBM to gangplank. Every training imports this, so it does not import LightGBM."""

from collections.abc import Iterable

from gangplank import Adapter, hookimpl


@hookimpl
def gangplank_adapters() -> Iterable[Adapter]:
    """Name the adapter."""
    return [
        Adapter(
            name="lightgbm",
            framework="lightgbm",
            exporter="gangplank_lightgbm.callback:PrometheusExporter",
            install="pip install gangplank-lightgbm",
        )
    ]
