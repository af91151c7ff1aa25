"""The histogram of the weights, as bars."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from gangplank.core.errors import GangplankError


def bucket_counts(phase: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> list[tuple[str, int]]:
    """Return the upper edge of each bucket, and how many weights are in it; tensors are added up.

    Args:
        phase: for the message.
        samples: the labels and the value of each sample of `gangplank_<phase>_model_weights_bucket`.

    Raises:
        GangplankError: the buckets are not those of a histogram.
    """
    spelled: dict[float, str] = {}
    totals: dict[float, int] = defaultdict(int)
    try:
        for labels, value in samples:
            edge = float(labels["le"])
            spelled[edge] = labels["le"]
            totals[edge] += int(value)
    except (LookupError, ValueError, OverflowError):
        strange = f"gangplank_{phase}_model_weights is not shown: its buckets are not those of a histogram"
        raise GangplankError(strange) from None
    edges = sorted(totals)
    below = [0, *(totals[edge] for edge in edges)]
    return [(spelled[edge], totals[edge] - under) for edge, under in zip(edges, below, strict=False)]
