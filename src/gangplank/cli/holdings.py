"""What a gateway holds of one job, and tables of it for a terminal."""

from __future__ import annotations

import urllib.request
from collections import defaultdict
from http.client import HTTPException

from prometheus_client.parser import text_string_to_metric_families
from rich import box
from rich.table import Table
from rich.text import Text

from gangplank.core.address import parse
from gangplank.core.errors import GangplankError
from gangplank.core.naming import PHASES
from gangplank.core.report import shown

_WIDEST_BAR = 40
# For rules rather than for readers, or said by another row.
_NOT_SHOWN = ("run_info", "run_state", "run_metric_epoch")
_IDENTITY = ("instance", "job", "phase", "run")


def fetch(address: str, path: str) -> str:
    """Return what a gateway answers, past any proxy.

    Raises:
        GangplankError: it does not answer, or refuses.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{parse(address)}{path}", timeout=5) as answer:
            text: str = answer.read().decode()
    except (OSError, HTTPException, UnicodeDecodeError) as error:
        raise GangplankError(f"no gateway answers on {address}: {shown(error)}") from error
    return text


class Holdings:
    """The samples of one job.

    Args:
        text: what the gateway's `/metrics` shows.
        job: whose samples.
    """

    def __init__(self, text: str, job: str) -> None:
        # phase -> name of the sample, without gangplank_ and the phase -> labels and value
        self._held: dict[str, dict[str, list[tuple[dict[str, str], float]]]] = {}
        self._gauges: set[str] = set()
        for family in text_string_to_metric_families(text):
            for name, labels, value, *_ in family.samples:
                phase = labels.get("phase")
                if name.startswith("gangplank_") and labels.get("job") == job and phase in PHASES:
                    short = name.removeprefix("gangplank_").removeprefix(f"{phase}_")
                    self._held.setdefault(phase, defaultdict(list))[short].append((labels, value))
                    if family.type == "gauge":
                        self._gauges.add(short)

    def value(self, phase: str, name: str, **labels: str) -> float | None:
        """Return a sample's value, or None where there is no such sample.

        Args:
            phase: its phase.
            name: its name without `gangplank_` and the phase: `loss`, `run_epoch`.
            labels: those it must have.
        """
        for held, value in self._held.get(phase, {}).get(name, []):
            if labels.items() <= held.items():
                return value
        return None

    def weights(self, phase: str) -> list[tuple[str, int]]:
        """Return how many weights are in each bucket: between the edge before and this upper edge."""
        bounds = [
            (labels["le"], int(value)) for labels, value in self._held.get(phase, {}).get("model_weights_bucket", [])
        ]
        bounds.sort(key=lambda bound: float(bound[0]))
        below = [0, *(count for _, count in bounds)]
        return [(edge, count - under) for (edge, count), under in zip(bounds, below, strict=False)]

    def table(self) -> Table:
        """Return the gauges, the phases side by side."""
        phases = [phase for phase in PHASES if phase in self._held]
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("gangplank_...")
        for phase in phases:
            table.add_column(phase, justify="right")
        table.add_row("run_state", *(Text(self._state(phase)) for phase in phases))
        rows: dict[str, dict[str, float]] = defaultdict(dict)
        for phase in phases:
            for name in self._gauges:
                for labels, value in self._held[phase].get(name, []):
                    rows[_shown(name, labels)][phase] = value
        for row in sorted(rows, key=lambda row: (row.startswith("run_"), row)):
            if not row.startswith(_NOT_SHOWN) and not row.endswith("_timestamp_seconds"):
                cells = (rows[row].get(phase) for phase in phases)
                table.add_row(Text(row), *("" if value is None else f"{value:,.6g}" for value in cells))
        return table

    def histogram(self, phase: str) -> Table:
        """Return the weights, a bar for each bucket."""
        counts = self.weights(phase)
        most = max((count for _, count in counts), default=0) or 1
        table = Table(box=None, show_header=False)
        for edge, count in counts:
            bar = "█" * round(_WIDEST_BAR * count / most)
            table.add_row(Text(f"<= {edge}", justify="right"), Text(f"{count:,}", justify="right"), Text(bar, "cyan"))
        return table

    def _state(self, phase: str) -> str:
        states = [labels["state"] for labels, value in self._held[phase].get("run_state", []) if value]
        return shown(", ".join(states))


def _shown(name: str, labels: dict[str, str]) -> str:
    """Return what a row is called: the name, with the labels that tell samples of one run apart."""
    others = ", ".join(f'{label}="{value}"' for label, value in labels.items() if label not in _IDENTITY)
    prefix = "" if name.startswith("run_") else "<phase>_"
    return shown(f"{prefix}{name}{{{others}}}" if others else f"{prefix}{name}")
