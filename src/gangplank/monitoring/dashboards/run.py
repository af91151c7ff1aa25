"""The dashboard of one run, or of several over each other."""

from __future__ import annotations

from typing import Any

from gangplank.monitoring.dashboards.layout import dashboard, variable
from gangplank.monitoring.dashboards.panels import Panel, graph, lines, row
from gangplank.monitoring.dashboards.queries import FIRING, JOBS, OF_THESE_JOBS, PHASES, RATE, RUNS, age, of_training
from gangplank.monitoring.dashboards.run_metrics import metrics
from gangplank.monitoring.dashboards.run_speed import speed
from gangplank.monitoring.dashboards.run_weights import weights
from gangplank.monitoring.dashboards.tables import Column, red, table

# Families of gangplank, which are no metrics of the user.
_OURS = "elapsed_time_seconds$|learning_rate$|epochs_count$|model_parameters|model_weights"


def run() -> dict[str, Any]:
    """Return the dashboard of the runs that are selected."""
    names = f'{{__name__=~"gangplank_({PHASES})_.+",{RUNS},phase!=""}}'
    return dashboard(
        "gangplank-run",
        "Gangplank: a run, or several",
        description="One run, or several runs over each other: its metrics, speed, weights, and where its time went.",
        variables=[
            variable("job", "label_values(gangplank_run_state, job)"),
            variable("phase", 'label_values(gangplank_run_state{job=~"$job"}, phase)'),
            _run(),
            variable(
                "metric", f"label_values({names}, __name__)", every=None, regex=f"/^gangplank_[a-z]+_(?!{_OURS})/"
            ),
        ],
        panels=[
            *row("How it stands", _standing(), _progress(), _left()),
            *metrics(),
            *speed(),
            *row("Export", _failures(), _dropped(), _heartbeat()),
            *weights(),
        ],
        time_range="6h",
        alerts=f'ALERTS{{{FIRING},{RUNS}}} or ALERTS{{{FIRING},{JOBS},run=""}} {OF_THESE_JOBS}',
    )


def _run() -> dict[str, Any]:
    """Return the variable of the runs within the time range: the newest first, and last those without a name."""
    started = "max by (run) (max_over_time(gangplank_run_start_timestamp_seconds{%s,run%s}[$__range]))"
    named, unnamed = (started % (JOBS, matcher) for matcher in ('!=""', '=""'))
    return variable(
        "run",
        f"query_result(sort_desc({named} or 0 * {unnamed}))",
        opens_with_all=False,
        # Grafana has results as `{run="name"} value time`. Those without a name are selected by an empty one.
        regex=r'/^\{(?:run=")?(.*?)"?\} /',
        sort=0,  # as they come
    )


def _standing() -> Panel:
    return table(
        "Runs",
        "How the runs stand that are selected.",
        [
            Column("", f"gangplank_run_state{{{RUNS}}} == 1", without=""),
            Column("", f"gangplank_run_info{{{RUNS}}}"),
            Column("progress", f"gangplank:run_progress_ratio{{{RUNS}}}", "percentunit"),
            Column("time left", f"gangplank:run_remaining_seconds{{{RUNS}}}", "s"),
            Column("epoch", f"gangplank_run_epoch{{{RUNS}}}"),
            Column("step", f"gangplank_run_step{{{RUNS}}}"),
            Column("heartbeat", age("heartbeat", RUNS), "s", config=red(above=180)),
            Column("last progress", age("last_update", RUNS), "s"),
            Column("checkpoint", age("checkpoint", RUNS), "s", config=red(above=7200)),
            Column("goodput", of_training("goodput_ratio", RUNS), "percentunit", config=red(below=0.5)),
        ],
        labels=["state", "job", "phase", "run", "owner", "host"],
        sort="run",
        height=7,
    )


def _progress() -> Panel:
    return graph(
        "Progress",
        "The fraction that is complete.",
        lines(f"gangplank:run_progress_ratio{{{RUNS}}}", "{{job}} {{phase}} {{run}}"),
        unit="percentunit",
        width=12,
    )


def _left() -> Panel:
    return graph(
        "Time left",
        "Until the run is complete, if it goes on as it did on average.",
        lines(f"gangplank:run_remaining_seconds{{{RUNS}}}", "{{job}} {{phase}} {{run}}"),
        unit="s",
        width=12,
    )


def _failures() -> Panel:
    return graph(
        "Pushes that failed",
        "How many, by destination and reason. A page that a gateway refuses cannot tell of it.",
        lines(
            f"increase(gangplank_run_export_failures_total{{{RUNS}}}[{RATE}])",
            "{{job}} {{run}} {{destination}} {{reason}}",
        ),
    )


def _dropped() -> Panel:
    return graph(
        "Metrics that could not be exported",
        "How many since the start of the run, by reason.",
        lines(f"gangplank_run_dropped_metrics_total{{{RUNS}}}", "{{job}} {{run}} {{reason}}"),
    )


def _heartbeat() -> Panel:
    return graph(
        "Age of the heartbeat",
        "Of the runs that say they are running. A heartbeat is sent once a minute.",
        lines(age("heartbeat", RUNS), "{{job}} {{phase}} {{run}}"),
        unit="s",
    )
