"""An in-memory gateway for each test."""

from gangplank.testing.fixtures import gateway

__all__ = ["gateway"]
