"""For tests of code that pushes metrics, and of adapters.

- `gangplank.testing.gateway`: a Pushgateway in memory; `gangplank.testing.fixtures.gateway` is one as a pytest fixture.
- `AdapterContract`: the tests that every adapter must pass, as a class for pytest.

Importing this imports no pytest: `AdapterContract` does when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gangplank.core.stand_in import stand_in

if TYPE_CHECKING:
    from gangplank.testing.contract import AdapterContract

__all__ = ["AdapterContract"]


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
