"""Reading what `gangplank doctor` found."""

from __future__ import annotations

import re
from collections.abc import Callable

from support.servers import get

HISTOGRAM = '# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n'
Found = dict[str, list[dict[str, str]]]


def states(found: Found) -> dict[str, str]:
    """Return how the last check of each name stands."""
    return {name: every[-1]["state"] for name, every in found.items()}


def the(found: Found, check: str) -> tuple[str, str]:
    """Return how the one check of a name stands, and all that it says."""
    (one,) = found[check]
    return one["state"], f"{one['found']}: {one['fix']}"


def left(address: str) -> list[str]:
    """Return the jobs of the doctor's that a gateway shows."""
    return re.findall(r"gangplank-doctor-\w+", get(f"http://{address}/metrics"))


Examined = Callable[..., tuple[int, Found]]
