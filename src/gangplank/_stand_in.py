"""A replacement for a class that cannot be imported."""

from __future__ import annotations

from typing import Any

_made: dict[tuple[str, str, str], type] = {}


def stand_in(name: str, module: str, error: Exception) -> type:
    """Return a class that raises the error when it is constructed; the same one for the same error.

    If the error were raised when the name is read, `hasattr`, `help()`, `import *` and LightningCLI would fail.
    """

    def refuse(*_: Any, **__: Any) -> None:
        raise error.with_traceback(None)

    contents = {"__init__": refuse, "__doc__": f"Cannot be used here: {error}", "__module__": module}
    return _made.setdefault((name, module, repr(error)), type(name, (), contents))
