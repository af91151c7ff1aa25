"""Keras' adapter: `TrainTestExporter`, a callback for `fit` and `evaluate`."""

from gangplank import MissingExtraError

try:
    from gangplank.keras.exporter import TrainTestExporter
except ModuleNotFoundError as error:
    raise MissingExtraError(
        f"gangplank.TrainTestExporter needs Keras 3 and a backend, and there is no module {error.name!r}: "
        "pip install 'gangplank[tensorflow]' (or [jax], or [torch])"
    ) from error

__all__ = ["TrainTestExporter"]
