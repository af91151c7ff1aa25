"""The adapter for XGBoost: `TrainTestExporter`, a callback for `xgboost.train`, `xgboost.cv` and its estimators."""

from gangplank import MissingExtraError

try:
    from gangplank.xgboost.exporter import TrainTestExporter
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "xgboost":
        raise  # none of our extras installs it: XGBoost is installed, but broken
    raise MissingExtraError(
        f"gangplank.xgboost.TrainTestExporter needs XGBoost, but there is no module {error.name!r}", "xgboost"
    ) from error

__all__ = ["TrainTestExporter"]
