"""Rules for Prometheus and dashboards for Grafana: alerts, what is recorded, and how it looks."""

from gangplank.monitoring.dashboards import dashboards as dashboards
from gangplank.monitoring.rules import rules as rules
from gangplank.monitoring.thresholds import THRESHOLDS as THRESHOLDS

__all__ = ["THRESHOLDS", "dashboards", "rules"]
