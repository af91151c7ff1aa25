"""Announces the adapter for LightGBM to gangplank; whatever is trained imports this, so it imports no LightGBM."""

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
