"""The adapter for Keras: `TrainTestExporter`, a callback for `fit` and `evaluate`."""

import importlib.util

from gangplank import MissingExtraError

_BACKENDS = ("tensorflow", "jax", "torch")

try:
    from gangplank.keras.exporter import TrainTestExporter
except ModuleNotFoundError as error:
    missing = (error.name or "").partition(".")[0]
    if missing not in ("keras", *_BACKENDS):
        raise  # none of our extras installs it: the framework is installed, but broken
    installed = [name for name in _BACKENDS if importlib.util.find_spec(name)]
    problem = f"gangplank.TrainTestExporter needs Keras 3 and a backend, but there is no module {error.name!r}"
    if missing == "keras":
        raise MissingExtraError(problem, (installed or _BACKENDS)[0]) from error
    if installed:
        problem += f". Set KERAS_BACKEND={installed[0]} to use {installed[0]}, which is installed; to install {missing}"
    raise MissingExtraError(problem, missing) from error

__all__ = ["TrainTestExporter"]
