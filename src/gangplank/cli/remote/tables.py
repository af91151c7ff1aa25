"""The groups on a gateway, and the metrics of one job, as tables for a terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from rich import box
from rich.table import Table
from rich.text import Text

from gangplank.cli.remote.gateway import GatewayClient
from gangplank.cli.remote.groups import GatewayGroup, Series, format_age
from gangplank.cli.remote.weights import bucket_counts
from gangplank.core.labels import PHASES
from gangplank.core.log import one_line

_BAR_WIDTH = 40
# For rules rather than for readers, or shown in another row.
_NOT_SHOWN = ("run_info", "run_state", "run_metric_epoch", "run_metric_step")
_COLUMNS = ("job", "phase", "labels", "run", "state", "epoch", "step", "last push", "heartbeat")


def overview(groups: Iterable[GatewayGroup], now: float) -> Table:
    """Return a table with one row for each group.

    Args:
        groups: the groups.
        now: Unix time in seconds by the gateway's clock.
    """
    rows = [_row(group, now) for group in groups]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in (name for name in _COLUMNS if any(row[name] for row in rows)):
        # On a narrow terminal, names are folded before the rest, since they may be of any length.
        table.add_column(
            column, overflow="fold", no_wrap=column in ("phase", "epoch", "step", "heartbeat"), min_width=3
        )
    for row in rows:
        table.add_row(*(Text(one_line(row[str(column.header)])) for column in table.columns))
    return table


def _row(group: GatewayGroup, now: float) -> dict[str, str]:
    labels = (label for label in group.labels.items() if label[0] not in ("job", "phase", "run"))
    cells = (
        group.labels["job"],
        group.labels.get("phase", ""),
        ", ".join(f"{name}={value!r}" for name, value in labels),
        group.run,
        group.describe_state(now),
        _position(group, "epoch"),
        _position(group, "step"),
        group.describe_push(now),
        format_age(group.run_value("heartbeat_timestamp_seconds"), now),
    )
    return dict(zip(_COLUMNS, cells, strict=True))


def _position(group: GatewayGroup, unit: str) -> str:
    """Return how many epochs or steps are completed, of how many: `1,200/5,000`."""
    numbers = (group.run_value(unit), group.run_value(f"{unit}s_planned"))
    return "/".join(f"{number:,.10g}" for number in numbers if number is not None)


def fetch_job(address: str, job: str) -> JobMetrics:
    """Return the metrics of a job on a gateway: those of the groups whose keys have no label but job and phase.

    Raises:
        GangplankError: the gateway cannot be reached, refuses, or is not a Pushgateway.
    """
    groups, _ = GatewayClient(address).groups()
    return JobMetrics(group for group in groups if dict(group.key.labels) == {"job": job, "phase": group.phase})


class JobMetrics:
    """The metrics of one job, by phase.

    Args:
        groups: its groups, one for each phase.
    """

    def __init__(self, groups: Iterable[GatewayGroup]) -> None:
        # phase -> sample's name without gangplank_ and the phase -> labels and value
        self._samples: dict[str, dict[str, list[tuple[Mapping[str, str], float]]]] = {}
        self._gauges: set[str] = set()
        for group in groups:
            if group.phase in PHASES:
                self._add(group.phase, group.series)

    def _add(self, phase: str, every: Iterable[Series]) -> None:
        samples = self._samples.setdefault(phase, defaultdict(list))
        for series in every:
            name = series.name.removeprefix("gangplank_").removeprefix(f"{phase}_")
            if name != "model_weights_bucket" or series.type == "histogram":
                samples[name].append((series.labels, series.value))
            if series.type == "gauge":
                self._gauges.add(name)

    @property
    def phases(self) -> list[str]:
        """The phases that have samples."""
        return [phase for phase in PHASES if self._samples.get(phase)]

    def value(self, phase: str, name: str, **labels: str) -> float | None:
        """Return a sample's value, or None if there is no such sample.

        Args:
            phase: its phase.
            name: its name without `gangplank_` and the phase: `loss`, `run_epoch`.
            labels: labels that it must have.
        """
        for its_labels, value in self._samples.get(phase, {}).get(name, []):
            if labels.items() <= its_labels.items():
                return value
        return None

    def weights(self, phase: str) -> list[tuple[str, int]]:
        """Return the upper edge of each bucket, and how many weights are in it.

        Raises:
            GangplankError: the buckets are not those of a histogram.
        """
        return bucket_counts(phase, self._samples.get(phase, {}).get("model_weights_bucket", []))

    def table(self) -> Table:
        """Return the gauges, with a column for each phase."""
        phases = self.phases
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("gangplank_...")
        for phase in phases:
            table.add_column(phase, justify="right")
        table.add_row("run_state", *(Text(self._state(phase)) for phase in phases))
        rows: dict[str, dict[str, float]] = defaultdict(dict)
        for phase in phases:
            for name in self._gauges:
                for labels, value in self._samples[phase].get(name, []):
                    rows[_row_name(name, labels)][phase] = value
        for row in sorted(rows, key=lambda row: (row.startswith("run_"), row)):
            if not row.startswith(_NOT_SHOWN) and not row.endswith("_timestamp_seconds"):
                cells = (rows[row].get(phase) for phase in phases)
                table.add_row(Text(row), *("" if value is None else f"{value:,.6g}" for value in cells))
        return table

    def histogram(self, phase: str) -> Table:
        """Return the weights, with a bar for each bucket."""
        counts = self.weights(phase)
        largest = max((count for _, count in counts), default=0) or 1
        table = Table(box=None, show_header=False)
        for edge, count in counts:
            bar = "█" * round(_BAR_WIDTH * (max(count, 0) / largest))
            limit = Text(f"<= {one_line(edge)}", justify="right")
            table.add_row(limit, Text(f"{count:,}", justify="right"), Text(bar, "cyan"))
        return table

    def _state(self, phase: str) -> str:
        states = [labels.get("state", "") for labels, value in self._samples[phase].get("run_state", []) if value]
        return one_line(", ".join(states))


def _row_name(name: str, labels: Mapping[str, str]) -> str:
    """Return the name of a row: the sample's, with the labels that distinguish samples of one run."""
    others = ", ".join(f'{label}="{value}"' for label, value in labels.items())
    prefix = "" if name.startswith("run_") else "<phase>_"
    return one_line(f"{prefix}{name}{{{others}}}" if others else f"{prefix}{name}")
