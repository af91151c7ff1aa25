"""Models of which each process holds only a part."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger("gangplank")

# By name: importing them imports more than there may be.
_STRATEGIES = frozenset({"DeepSpeedStrategy", "FSDPStrategy", "ModelParallelStrategy"})


class Sharding:
    """Keeps hands off weights that are spread over processes: reading them whole takes a collective."""

    def __init__(self) -> None:
        self._said = False

    def readable(self, trainer: Any, module: Any) -> Any:
        """Return the module, or None where its weights may not be read, which is said once."""
        if module is None or not _is_sharded(trainer.strategy, module):
            return module
        if not self._said:
            self._said = True
            log.warning(
                "%s spreads the model over processes: no weights, parameter counts and gradient norms are exported",
                type(trainer.strategy).__name__,
            )
        return None


def _is_sharded(strategy: Any, module: Any) -> bool:
    if any(kind.__name__ in _STRATEGIES for kind in type(strategy).__mro__):
        return True
    return any(type(parameter).__name__ == "DTensor" for parameter in module.parameters())
