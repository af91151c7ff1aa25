"""Rules for Prometheus: alerts, and what it records of what the core exports."""

from gangplank.monitoring.rules import rules as rules
from gangplank.monitoring.thresholds import THRESHOLDS as THRESHOLDS

__all__ = ["THRESHOLDS", "rules"]
