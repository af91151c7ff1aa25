"""The gateway that tests push to: one in memory for each test."""

from gangplank.testing.fixtures import gateway

__all__ = ["gateway"]
