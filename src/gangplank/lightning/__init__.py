"""Lightning's adapter: `TrainTestExporter`, a callback for `Trainer(callbacks=[...])`."""

from gangplank import MissingExtraError

try:
    from gangplank.lightning.exporter import TrainTestExporter
except ModuleNotFoundError as error:
    raise MissingExtraError(
        f"gangplank.lightning.TrainTestExporter needs Lightning, and there is no module {error.name!r}: "
        "pip install 'gangplank[lightning]'"
    ) from error

__all__ = ["TrainTestExporter"]
