"""Models whose parameters are spread over several processes."""

from __future__ import annotations

import logging
from typing import Any

logger = logging.getLogger("gangplank")


class Sharding:
    """Withholds sharded models: reading their weights whole is a collective operation, which may block.

    Args:
        lost: what is not exported of them, for the log.
    """

    def __init__(self, lost: str) -> None:
        self._lost = lost
        self._warned = False

    def readable(self, module: Any, *, by: str, sharded: bool) -> Any:
        """Return the module, or None if it is sharded; the first time, that is logged.

        Args:
            module: a torch module, or None.
            by: what shards it, for the log.
            sharded: whether the framework says that it is; if not, a parameter that is a DTensor shows it.
        """
        if module is None or not (sharded or _holds_shards(module)):
            return module
        if not self._warned:
            self._warned = True
            logger.warning("%s shards the model over processes: %s are not exported", by, self._lost)
        return None


def _holds_shards(module: Any) -> bool:
    # By name: importing the class takes torch.distributed, which not every build of torch has.
    return any(type(parameter).__name__ == "DTensor" for parameter in module.parameters())
