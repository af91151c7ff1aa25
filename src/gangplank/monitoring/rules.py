"""The rule files of Prometheus and of its operator, made of the two files beside this one."""

from __future__ import annotations

import string
from importlib import resources
from textwrap import indent

from gangplank.monitoring import thresholds

FORMATS = ("prometheus", "operator")
_OPERATOR = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: gangplank
spec:
"""


class _Rules(string.Template):
    delimiter = "@"  # Prometheus' own templates have the `$`


def rules(form: str = "prometheus", **chosen: str) -> str:
    """Return the recording rules and the alerts as YAML.

    Args:
        form: `prometheus`, a rule file; or `operator`, a PrometheusRule of the Kubernetes operator.
        chosen: thresholds as text, such as `dead_after="5m"`; `THRESHOLDS` has all of them.

    Raises:
        ConfigurationError: there is no such threshold, or a value cannot be one.
    """
    folder = resources.files(__package__)
    recording, alerts = ((folder / f"{name}.yaml").read_text("utf-8") for name in ("recording", "alerts"))
    text = recording + _Rules(alerts.removeprefix("groups:")).substitute(thresholds.read(chosen))
    return text if form == "prometheus" else _OPERATOR + indent(text, "  ")
