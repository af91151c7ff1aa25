"""Keras' adapter: `TrainTestExporter`, a callback for `fit` and `evaluate`."""

from gangplank import MissingExtraError

try:
    from gangplank.keras.exporter import TrainTestExporter
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("keras", "tensorflow", "jax", "torch"):
        raise  # no extra of ours brings it: the framework is there, and broken
    raise MissingExtraError(
        f"gangplank.TrainTestExporter needs Keras 3 and a backend (the extra tensorflow, jax or torch), "
        f"and there is no module {error.name!r}",
        "tensorflow",
    ) from error

__all__ = ["TrainTestExporter"]
