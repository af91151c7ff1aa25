"""Of a run: its metrics, by time and since its start, and what the optimizer does."""

from __future__ import annotations

from gangplank.monitoring.dashboards.panels import Panel, graph, lines, panel, row
from gangplank.monitoring.dashboards.queries import PHASES, RUNS

_METRIC = f'{{__name__=~"$metric",{RUNS}}}'
_SINCE = "since its start"


def metrics() -> list[Panel]:
    """Return the rows of the metrics."""
    return [
        *row("Metrics", _metric()),
        *row("Metrics, by the time since the start of each run", _metric_since_start()),
        *row("Optimisation", _learning_rate(), _nonfinite_metrics(), _nonfinite_weights()),
    ]


def _metric() -> Panel:
    return graph(
        "$metric",
        "One panel for each metric; each run is a line.",
        lines(_METRIC, "{{job}} {{run}}"),
        repeat="metric",
        repeatDirection="h",
        maxPerRow=3,
    )


def _metric_since_start() -> Panel:
    """Return a graph in which all runs begin at zero: a matrix of the seconds since the start, and of the runs."""
    seconds = f'{{__name__=~"gangplank_({PHASES})_elapsed_time_seconds",{RUNS}}}'  # stands still once the run has ended
    pair = [
        # Without a label, or with a name that several jobs or ranks have, `run` cannot tell them apart.
        {
            **lines(f'label_join(max without (instance) ({expr}), "line", " ", "job", "run", "rank")', ""),
            "format": "table",
        }
        for expr in (seconds, _METRIC)
    ]
    matrix = {"rowField": "Value #A", "columnField": "line", "valueField": "Value #B", "emptyValue": "null"}
    rows = "Value #A\\line"  # as Grafana names them
    return panel(
        "xychart",
        "$metric",
        "As above, and all runs begin at 0.",
        pair,
        (8, 8),
        repeat="metric",
        repeatDirection="h",
        maxPerRow=3,
        transformations=[
            {"id": "merge", "options": {}},
            {"id": "groupingToMatrix", "options": matrix},
            {
                "id": "convertFieldType",
                "options": {"conversions": [{"targetField": rows, "destinationType": "number"}]},
            },
            {"id": "organize", "options": {"renameByName": {rows: _SINCE}, "excludeByName": {}, "indexByName": {}}},
        ],
        fieldConfig={
            "defaults": {"custom": {"show": "points", "pointSize": {"fixed": 3}}},
            "overrides": [
                {"matcher": {"id": "byName", "options": _SINCE}, "properties": [{"id": "unit", "value": "s"}]}
            ],
        },
        # As Grafana 9 has it; newer ones migrate it.
        options={
            "seriesMapping": "auto",
            "dims": {"frame": 0, "x": _SINCE},
            "series": [],
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "single", "sort": "none"},
        },
    )


def _learning_rate() -> Panel:
    return graph(
        "Learning rate",
        "By optimizer, or parameter group, if there are several.",
        lines(f"gangplank_train_learning_rate{{{RUNS}}}", "{{job}} {{run}} {{optimizer}}"),
        unit="sci",
    )


def _nonfinite_metrics() -> Panel:
    return graph(
        "Metrics that are NaN or infinite",
        "How many of the metrics are not finite now.",
        lines(f"gangplank_run_nonfinite_metrics{{{RUNS}}}", "{{job}} {{phase}} {{run}}"),
    )


def _nonfinite_weights() -> Panel:
    name = f'{{__name__=~"gangplank_({PHASES})_model_weights_nonfinite",{RUNS}}}'
    return graph(
        "Weights that are NaN or infinite",
        "How many of the trainable weights are not finite, if the weights are exported.",
        lines(f"sum without (tensor) ({name})", "{{job}} {{phase}} {{run}}"),
    )
