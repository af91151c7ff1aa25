"""Lightning's base class for callbacks, of `lightning.pytorch` and of `pytorch_lightning`, whichever is installed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning.pytorch import Callback

    VERSION = ""
else:
    # Two packages with the same contents, whose Trainers and command lines take only callbacks of their own.
    _found, _missing = [], []
    for _name in ("lightning.pytorch", "pytorch_lightning"):
        try:
            _found.append(importlib.import_module(_name))
        except ImportError as _error:
            _missing.append(_error)
    if not _found:
        # One that is there, and breaks, tells more than one that is not there.
        raise min(
            _missing, key=lambda error: (error.name or "").partition(".")[0] in ("lightning", "pytorch_lightning")
        )

    VERSION = _found[0].__version__

    class Callback(*(package.Callback for package in _found)):
        """A callback for the Trainers of both."""


__all__ = ["VERSION", "Callback"]
