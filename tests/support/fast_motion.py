"""A real training that takes an hour by its own clock, and what Prometheus' rules say of it."""

from __future__ import annotations

import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from prometheus_client.samples import Sample

from gangplank.testing import MemorySink
from support.promtool import said
from support.servers import Generation, find

# These wait for real.
_WAITING = ("gangplank.core.delivery", "gangplank.core.sinks", "gangplank.core.log", "gangplank.core.lifecycle")


@dataclass
class FastMotion:
    """A clock that the training moves on, and the pages that a gateway would hold at each of its minutes.

    Attributes:
        memory: the `sink=` of the exporter.
        now: in seconds.
    """

    memory: MemorySink = field(default_factory=MemorySink)
    now: float = 0.0
    _minutes: list[Mapping[str, float]] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    monotonic = time

    def pass_(self, seconds: float) -> None:
        """Let time pass; each minute, the newest page is kept, with a heartbeat."""
        self.now += seconds
        while len(self._minutes) * 60 <= self.now:
            page = self.memory.pages[-1] if self.memory.pages else None
            if page is not None and page.state == "running":
                page = replace(page, heartbeat=len(self._minutes) * 60.0)
            families = page.identified().collect() if page else ()
            self._minutes.append({_written(sample): sample.value for family in families for sample in family.samples})

    def series(self) -> list[dict[str, str]]:
        """Return the series as promtool reads them."""
        values: dict[str, list[str]] = defaultdict(lambda: ["stale"] * len(self._minutes))
        for minute, samples in enumerate(self._minutes):
            for name, value in samples.items():
                values[name][minute] = "NaN" if math.isnan(value) else f"{value:.9g}"
        return [{"series": name, "values": " ".join(each)} for name, each in values.items()]

    def alerts(self, folder: Path, generation: Generation) -> str:
        """Return what promtool says if any alert has fired until now; nothing if none has."""
        assert len(self._minutes) >= 60
        minutes = len(self._minutes) - 1
        fired = {
            "expr": f'count by (alertname) (count_over_time(ALERTS{{alertstate="firing"}}[{minutes + 5}m]))',
            "eval_time": f"{minutes}m",
        }
        trained = {
            "expr": f"max(max_over_time(gangplank_run_state{{state='running'}}[{minutes + 5}m]))",
            "eval_time": f"{minutes}m",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        return said(
            find("promtool", generation=generation),
            folder,
            [{"interval": "1m", "input_series": self.series(), "promql_expr_test": [fired, trained]}],
        )


def _written(sample: Sample) -> str:
    labels = ",".join(f"{name}={json.dumps(value)}" for name, value in sample.labels.items())
    return f"{sample.name}{{{labels}}}"


def fast_motion(monkeypatch: pytest.MonkeyPatch) -> FastMotion:
    """Return a clock by which gangplank measures from now on, for as long as the test lasts."""
    clock = FastMotion()
    for name, module in list(sys.modules.items()):
        if name.startswith("gangplank.") and not name.startswith(_WAITING) and getattr(module, "time", None) is time:
            monkeypatch.setattr(module, "time", clock)
    return clock
