"""Helpers for tests of code that pushes metrics, and of adapters.

- `gangplank.testing.gateway`: an in-memory Pushgateway; `gangplank.testing.fixtures.gateway` is a pytest fixture of it.
- `MemorySink`: a sink that keeps every page in memory.
- `AdapterContract`: the tests that every adapter must pass, as a class for pytest.

Importing this does not import pytest: the first use of `AdapterContract` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gangplank._stand_in import stand_in
from gangplank.testing.memory import MemorySink

if TYPE_CHECKING:
    from gangplank.testing.contract import AdapterContract

__all__ = ["AdapterContract", "MemorySink"]


def __getattr__(name: str) -> Any:
    if name == "AdapterContract":
        try:
            from gangplank.testing.contract import AdapterContract  # noqa: PLC0415  it imports pytest
        except ImportError as error:
            return stand_in(name, __name__, error)
        return AdapterContract
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
