"""The adapter for Lightning: `TrainTestExporter`, a callback for `Trainer(callbacks=[...])`."""

from gangplank import MissingExtraError

try:
    from gangplank.lightning.exporter import TrainTestExporter
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("lightning", "pytorch_lightning", "torch"):
        raise  # none of our extras installs it: the framework is installed, but broken
    raise MissingExtraError(
        f"gangplank.lightning.TrainTestExporter needs Lightning, but there is no module {error.name!r}", "lightning"
    ) from error

__all__ = ["TrainTestExporter"]
