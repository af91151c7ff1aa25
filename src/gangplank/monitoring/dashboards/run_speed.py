"""Of a run: its speed, where its time went, and which rank the others wait for."""

from __future__ import annotations

from gangplank.monitoring.dashboards.panels import Panel, graph, lines, now, panel, row
from gangplank.monitoring.dashboards.queries import JOBS, OF_THESE_JOBS, RATE, RUNS


def speed() -> list[Panel]:
    """Return the rows of the speed."""
    return [
        *row("Speed", _steps_per_second(), _samples_per_second(), _step_duration()),
        *row("Where the time went", _activities(), _activities_in_all(), _lost()),
        *row("Stragglers", _share_of_ranks("data_wait"), _share_of_ranks("forward"), _behind()),
    ]


def _steps_per_second() -> Panel:
    return graph(
        "Steps per second",
        "Of the time that goes into training: without evaluations and checkpoints.",
        lines(f"gangplank:run_steps_per_second{{{RUNS}}}", "{{job}} {{run}}"),
    )


def _samples_per_second() -> Panel:
    return graph(
        "Samples per second",
        "In the newest epoch.",
        lines(f"gangplank_run_samples_per_second{{{RUNS}}}", "{{job}} {{phase}} {{run}}"),
    )


def _step_duration() -> Panel:
    buckets = f"sum without (rank, instance) (rate(gangplank_run_step_duration_seconds_bucket{{{RUNS}}}[{RATE}]))"
    return graph(
        "Duration of a step",
        "Half of the steps took at most as long as the median, 99 of 100 at most as long as p99.",
        *(
            lines(f"histogram_quantile({quantile}, {buckets})", f"{{{{job}}}} {{{{run}}}} {name}")
            for quantile, name in ((0.5, "median"), (0.9, "p90"), (0.99, "p99"))
        ),
        unit="s",
    )


def _activities() -> Panel:
    each = f"rate(gangplank_run_activity_seconds_total{{{RUNS}}}[{RATE}])"
    return graph(
        "Share of the time",
        "What the runs did, of the time of all that are selected.",
        lines(f"sum by (activity) ({each}) / on () group_left () (sum({each}) > 0)", "{{activity}}"),
        unit="percentunit",
        custom={"fillOpacity": 60, "stacking": {"mode": "normal", "group": "A"}},
    )


def _activities_in_all() -> Panel:
    each = f"gangplank_run_activity_seconds_total{{{RUNS}}}"
    return panel(
        "bargauge",
        "Share of the time since the start",
        "What the runs did since their start.",
        [now(f"sum by (activity) ({each}) / on () group_left () sum({each})", "{{activity}}")],
        (8, 8),
        fieldConfig={
            "defaults": {"unit": "percentunit", "min": 0, "max": 1, "color": {"mode": "palette-classic"}},
            "overrides": [],
        },
        options={
            "orientation": "horizontal",
            "displayMode": "basic",
            "showUnfilled": True,
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
    )


def _lost() -> Panel:
    return graph(
        "Steps lost",
        "Steps that a restart repeated, because it went on from an older checkpoint. Recorded every four minutes.",
        lines(f"gangplank:training_steps_lost{{{JOBS}}} {OF_THESE_JOBS}", "{{job}}"),
    )


def _share_of_ranks(what: str) -> Panel:
    title = {"data_wait": "Waiting for data", "forward": "Forward pass"}[what]
    each = f"rate(gangplank_run_{what}_seconds_total{{%s}}[{RATE}])"
    of_ranks = JOBS + ',rank!=""'
    return graph(
        f"{title}, by rank",
        "The share of the time; with per_rank=True, of each rank.",
        lines(f"{each % RUNS} or {each % of_ranks} {OF_THESE_JOBS}", "{{job}} {{run}} {{rank}}"),
        unit="percentunit",
    )


def _behind() -> Panel:
    queries = []
    for what in ("data_wait", "forward"):
        each = f'(rate(gangplank_run_{what}_seconds_total{{{JOBS},rank!=""}}[{RATE}]) > 0)'  # one of 0 does not run
        fastest = f"min without (rank, run, instance) {each}"
        queries.append(
            lines(
                f"{each} - ignoring (rank, run, instance) group_left () {fastest} {OF_THESE_JOBS}",
                f"{{{{job}}}} {{{{rank}}}} {what}",
            )
        )
    return graph(
        "Behind the fastest rank",
        "How much more of its time a rank spends than the fastest one; all ranks wait for it.",
        *queries,
        unit="percentunit",
    )
