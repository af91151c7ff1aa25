"""A class in place of one that cannot be imported."""

from __future__ import annotations

from typing import Any


def stand_in(name: str, module: str, error: Exception) -> type:
    """Return a class that raises the error when it is constructed.

    A name that raised when it was read would break whoever only looks: `hasattr`, `help()`, `import *`, LightningCLI.
    """

    def refuse(*_: Any, **__: Any) -> None:
        raise error

    text = f"Cannot be used here: {error}"
    return type(name, (), {"__init__": refuse, "__doc__": text, "__module__": module})
