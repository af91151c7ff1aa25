"""The adapter for Hugging Face Transformers: `TrainTestExporter`, a callback for `Trainer(callbacks=[...])`."""

from gangplank import MissingExtraError

try:
    from gangplank.transformers.exporter import TrainTestExporter
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("transformers", "accelerate", "torch"):
        raise  # none of our extras installs it: the framework is installed, but broken
    raise MissingExtraError(
        f"gangplank.transformers.TrainTestExporter needs Transformers, but there is no module {error.name!r}",
        "transformers",
    ) from error

__all__ = ["TrainTestExporter"]
