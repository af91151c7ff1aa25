"""The dashboard of all runs: what needs somebody first, then each run, then the GPUs that they hold."""

from __future__ import annotations

from typing import Any

from gangplank.monitoring.dashboards.layout import dashboard, variable
from gangplank.monitoring.dashboards.panels import Panel, graph, lines, now, row, stat
from gangplank.monitoring.dashboards.queries import FIRING, JOBS, age, of_training, validation_loss
from gangplank.monitoring.dashboards.tables import Column, red, table

_EACH_RUN = f"gangplank_run_state{{{JOBS}}} == 1"  # it has one state
_ALERTS = f"ALERTS{{{FIRING},{JOBS}}}"


def _alerts_of_runs() -> str:
    """Return a query for how many alerts fire for each run: its own, and those of its job and phase."""

    def by(labels: str, matchers: str) -> str:
        alerts = f"ALERTS{{{FIRING},{JOBS},{matchers}}}"
        return f"({_EACH_RUN}) * on ({labels}) group_left () count by ({labels}) ({alerts})"

    own, shared = by("job, phase, run", 'run!=""'), by("job, phase", 'phase!="",run=""')
    return f"{own} + {shared} or {own} or {shared}"


# DCGM's exporter names the host `Hostname`, and our info family `host`.
_RUNNING_ON = (
    f'gangplank_run_info{{{JOBS}}} and on (job, phase, run) gangplank_run_state{{{JOBS},state="running"}} == 1'
)
_GPUS = 'label_replace(avg_over_time(DCGM_FI_DEV_GPU_UTIL[15m]), "host", "$1", "Hostname", "(.+)")'
_IDLE_BELOW = 10  # percent, as for the alert GangplankGpuIdle


def fleet() -> dict[str, Any]:
    """Return the dashboard of all runs."""
    return dashboard(
        "gangplank-fleet",
        "Gangplank: all runs",
        description="All training runs and evaluations, those that need somebody first.",
        variables=[
            variable("job", "label_values(gangplank_run_state, job)"),
            variable("phase", 'label_values(gangplank_run_state{job=~"$job"}, phase)'),
        ],
        panels=[*_verdict(), *row("Runs", _runs(), _states()), *row("GPUs burning for nothing", _held(), _busy())],
        time_range="6h",
        alerts=f'ALERTS{{{FIRING},job=~"$job"}}',
    )


def _verdict() -> list[Panel]:
    need = f"count(count without (rank, instance, state) ({_alerts_of_runs()})) or vector(0)"
    run = f"""count(
  count without (rank, instance, state) (gangplank_run_state{{{JOBS},state="running"}} == 1)
) or vector(0)"""
    return [
        stat(
            "Runs that need you",
            "Runs for which an alert fires: of their own, or of their job and phase.",
            now(need),
            red_from=1,
        ),
        stat("Runs that say they are running", "One that is dead says so too; an alert fires then.", now(run)),
        table(
            "What is wrong",
            "The alerts of `gangplank rules` that fire. What each means, and what to do, is in docs/alerts.md.",
            [Column("", _ALERTS)],
            labels=["alertname", "severity", "job", "phase", "run", "host"],
            hidden=["alertstate"],
            sort="severity",
            descending=False,
            width=16,
            height=7,
            empty="No alert fires",
        ),
    ]


def _runs() -> Panel:
    return table(
        "All runs",
        "Each run that Prometheus sees now; those with alerts first. A running one with an old heartbeat is dead. "
        "The best validation loss is that of the dashboard's time range.",
        [
            Column("", _EACH_RUN, without=""),
            Column("", f"gangplank_run_info{{{JOBS}}}"),
            Column("alerts", _alerts_of_runs(), config=red(above=1)),
            Column("progress", f"gangplank:run_progress_ratio{{{JOBS}}}", "percentunit"),
            Column("time left", f"gangplank:run_remaining_seconds{{{JOBS}}}", "s"),
            Column("heartbeat", age("heartbeat", JOBS), "s", config=red(above=180)),
            Column("checkpoint", age("checkpoint", JOBS), "s", config=red(above=7200)),
            Column("goodput", of_training("goodput_ratio", JOBS), "percentunit", config=red(below=0.5)),
            Column("validation loss", validation_loss(JOBS), config={"decimals": 4}),
            Column("its best", validation_loss(JOBS, "(min_over_time({0}[$__range]) and {0})"), config={"decimals": 4}),
        ],
        labels=["state", "job", "phase", "run", "owner", "host"],
        sort="alerts",
        height=14,
    )


def _states() -> Panel:
    return graph(
        "Runs by state",
        "How many runs there are of each state.",
        # All series of all runs: with a thousand, each minute of six hours would take more than a second.
        lines(f"count by (state) (count without (rank, instance) ({_EACH_RUN}))", "{{state}}", shortest_step="5m"),
        width=24,
        custom={"lineInterpolation": "stepAfter"},
    )


def _held() -> Panel:
    def on_its_host(value: str) -> str:
        return f"({_RUNNING_ON}) * on (host) group_left () {value}"

    return table(
        "GPUs of the machines with running trainings",
        "Their use in the last 15 minutes, by DCGM's exporter; the idle ones first.",
        [
            Column("busiest GPU", on_its_host(f"max by (host) ({_GPUS})"), "percent", config=red(below=_IDLE_BELOW)),
            Column("mean of the GPUs", on_its_host(f"avg by (host) ({_GPUS})"), "percent"),
            Column("GPUs", on_its_host(f"count by (host) ({_GPUS})")),
            Column(
                f"under {_IDLE_BELOW} %", on_its_host(f"count by (host) ({_GPUS} < {_IDLE_BELOW})"), config=red(above=1)
            ),
        ],
        labels=["job", "phase", "run", "owner", "host"],
        sort="busiest GPU",
        descending=False,
        width=12,
        empty="No GPU of a machine with a running training is known",
    )


def _busy() -> Panel:
    return graph(
        "Use of these GPUs",
        "Each GPU of the machines with running trainings.",
        lines(f"{_GPUS} and on (host) ({_RUNNING_ON})", "{{host}} GPU {{gpu}}"),
        unit="percent",
        width=12,
    )
