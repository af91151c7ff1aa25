"""Which of the processes of one training this is."""

from __future__ import annotations

import os


def rank_of_process() -> int:
    """Return the rank that the environment gives this process (`RANK`, as torchrun sets it); 0 where it gives none."""
    rank = os.environ.get("RANK", "")
    return int(rank) if rank.isdecimal() else 0
