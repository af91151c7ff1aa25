"""JAX on the CPU: its arrays are then counted on the host, but where a test wants the device's way."""

from __future__ import annotations

import os

os.environ["JAX_PLATFORMS"] = "cpu"
