"""The base class for callbacks, from `lightning.pytorch` and `pytorch_lightning`, whichever are installed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning.pytorch import Callback

    VERSION = ""
else:
    # Two packages with the same contents; the Trainer and LightningCLI of each take only callbacks of its own class.
    _found, _missing = [], []
    for _name in ("lightning.pytorch", "pytorch_lightning"):
        try:
            _found.append(importlib.import_module(_name))
        except ImportError as _error:
            _missing.append(_error)
    if not _found:
        # The error of a package that is installed but broken says more than that of one that is not installed.
        raise min(
            _missing, key=lambda error: (error.name or "").partition(".")[0] in ("lightning", "pytorch_lightning")
        )

    VERSION = _found[0].__version__

    class Callback(*(package.Callback for package in _found)):
        """A callback for the Trainers of both packages."""


__all__ = ["VERSION", "Callback"]
