"""What a gateway holds, and what it holds of one job, as tables for a terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from rich import box
from rich.table import Table
from rich.text import Text

from gangplank.cli.client import GatewayClient
from gangplank.cli.groups import Held, Series, ago, read
from gangplank.core.naming import PHASES
from gangplank.core.report import shown

_WIDEST_BAR = 40
# For rules rather than for readers, or said by another row.
_NOT_SHOWN = ("run_info", "run_state", "run_metric_epoch")

_COLUMNS = ("job", "phase", "labels", "run", "state", "epoch", "last push", "heartbeat")


def fetch(address: str, path: str) -> str:
    """Return what a gateway answers.

    Raises:
        GangplankError: it does not answer, or refuses.
    """
    return GatewayClient(address).page(path).text


def overview(groups: Iterable[Held], now: float) -> Table:
    """Return the groups, one a row, as they stand at a moment of the gateway's clock."""
    rows = [_row(held, now) for held in groups]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in (name for name in _COLUMNS if any(row[name] for row in rows)):
        # What is long is folded where the terminal is narrow: names, which have no end, before the rest.
        table.add_column(column, overflow="fold", no_wrap=column in ("phase", "epoch", "heartbeat"), min_width=3)
    for row in rows:
        table.add_row(*(Text(shown(row[str(column.header)])) for column in table.columns))
    return table


def _row(held: Held, now: float) -> dict[str, str]:
    labels = (label for label in held.group.labels if label[0] not in ("job", "phase", "run"))
    position = (held.value("epoch"), held.value("epochs_planned"))
    cells = (
        held.key["job"],
        held.key.get("phase", ""),
        ", ".join(f"{name}={value!r}" for name, value in labels),
        held.run,
        held.standing(now),
        "/".join(f"{number:g}" for number in position if number is not None),
        held.push(now),
        ago(held.value("heartbeat_timestamp_seconds"), now),
    )
    return dict(zip(_COLUMNS, cells, strict=True))


class Holdings:
    """The samples of one job.

    Args:
        held: its groups; or what the gateway's `/metrics` shows, of which those are meant that `job` pushed without
            labels of its own in the grouping key.
        job: whose samples, where the text is given.
    """

    def __init__(self, held: str | Iterable[Held], job: str = "") -> None:
        # phase -> name of the sample, without gangplank_ and the phase -> labels and value
        self._held: dict[str, dict[str, list[tuple[Mapping[str, str], float]]]] = {}
        self._gauges: set[str] = set()
        if isinstance(held, str):
            held = (group for group in read(held) if group.key == {"job": job, "phase": group.key.get("phase")})
        for group in held:
            phase = group.key.get("phase")
            if phase in PHASES:
                self._take(phase, group.series)

    def _take(self, phase: str, every: Iterable[Series]) -> None:
        samples = self._held.setdefault(phase, defaultdict(list))
        for series in every:
            short = series.name.removeprefix("gangplank_").removeprefix(f"{phase}_")
            if short != "model_weights_bucket" or series.kind == "histogram":
                samples[short].append((series.labels, series.value))
            if series.kind == "gauge":
                self._gauges.add(short)

    @property
    def phases(self) -> list[str]:
        """The phases that hold something."""
        return [phase for phase in PHASES if self._held.get(phase)]

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
        phases = self.phases
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
        states = [labels.get("state", "") for labels, value in self._held[phase].get("run_state", []) if value]
        return shown(", ".join(states))


def _shown(name: str, labels: Mapping[str, str]) -> str:
    """Return what a row is called: the name, with the labels that tell samples of one run apart."""
    others = ", ".join(f'{label}="{value}"' for label, value in labels.items() if label != "run")
    prefix = "" if name.startswith("run_") else "<phase>_"
    return shown(f"{prefix}{name}{{{others}}}" if others else f"{prefix}{name}")
