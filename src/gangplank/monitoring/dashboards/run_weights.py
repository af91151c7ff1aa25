"""Of a run: its weights."""

from __future__ import annotations

from gangplank.monitoring.dashboards.panels import Panel, graph, lines, panel, row
from gangplank.monitoring.dashboards.queries import PHASES, RUNS

# As they are now: a rate of them would be wrong. All ranks have the same ones.
_BUCKETS = f'avg without (rank, instance) ({{__name__=~"gangplank_({PHASES})_model_weights_bucket",{RUNS}}})'


def weights() -> list[Panel]:
    """Return the row of the weights: a heatmap for each run is much to draw, so it is closed at first."""
    return row("Weights", _weight_quantiles(), _weights(), collapsed=True)


def _weight_quantiles() -> Panel:
    return graph(
        "Quantiles of the weights",
        "Of the trainable weights that are finite.",
        *(
            lines(
                f"histogram_quantile({quantile}, sum without (tensor) ({_BUCKETS}))",
                f"{{{{job}}}} {{{{phase}}}} {{{{run}}}} {name}",
            )
            for quantile, name in ((0.01, "p1"), (0.5, "median"), (0.99, "p99"))
        ),
        width=24,
    )


def _weights() -> Panel:
    return panel(
        "heatmap",
        "Weights of $run",
        "How many of the trainable weights are in each bucket.",
        # A run of several phases has its weights in each.
        [{**lines(f"sum by (le) (avg without (phase) ({_BUCKETS}))", "{{le}}"), "format": "heatmap"}],
        (12, 9),
        repeat="run",
        repeatDirection="h",
        maxPerRow=2,
        fieldConfig={"defaults": {}, "overrides": []},
        options={
            "calculate": False,
            "cellGap": 1,
            "cellValues": {"decimals": 0},
            "color": {"mode": "scheme", "scheme": "Oranges", "exponent": 0.5, "fill": "dark-orange", "steps": 64},
            "filterValues": {"le": 1e-9},
            "legend": {"show": True},
            "rowsFrame": {"layout": "auto"},
            "tooltip": {"mode": "single", "show": True, "yHistogram": False},
            "yAxis": {"axisPlacement": "left", "reverse": False},
        },
    )
