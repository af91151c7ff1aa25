"""Which runs the dashboards show when they are opened, and when one is chosen; and that a row of a table is a run."""

from __future__ import annotations

from pathlib import Path

import pytest

import gangplank
from gangplank.monitoring import dashboards
from support.grafana import at_first, chosen, queries, rows
from support.reading import eventually
from support.servers import Generation, Prometheus, Server, prometheus, pushgateway

FLEET, RUN = dashboards()["gangplank-fleet.json"], dashboards()["gangplank-run.json"]


def seen(server: Prometheus, count: int) -> None:
    """Wait until Prometheus has seen so many runs."""
    eventually(lambda: len(server.query('gangplank_run_state{state="finished"} == 1')) == count, timeout=30)


def trained(gateway: Server, job: str, **options: object) -> str | None:
    """Have a run, and return its name."""
    with gangplank.run(gateway.address, job, ignore_exceptions=False, **options) as run:  # type: ignore[arg-type]
        run.record({"loss": 0.5})
    return run.name


@pytest.mark.parametrize("generation", ["old", "new"])
def test_it_opens_with_the_newest_run_that_has_a_name_and_all_can_be_chosen(
    tmp_path: Path, generation: Generation
) -> None:
    strange = "z{}[a].*'$|"  # also the last by name
    with (
        pushgateway(tmp_path, generation=generation) as gateway,
        prometheus(tmp_path, gateway.address, generation=generation) as server,
    ):
        trained(gateway, "second", run="older")
        trained(gateway, "first", run=strange)
        seen(server, 2)
        newest = trained(gateway, "second")
        trained(gateway, "unnamed", run=None)
        # The older one is no longer on the gateway, and still within the time range.
        server.await_query(f'gangplank_run_state{{run="{newest}",state="finished"}} == 1')
        server.await_query('gangplank_run_state{job="unnamed",state="finished"} == 1')

        opened = at_first(server, RUN)
        assert opened["run"] == [newest]
        assert opened["metric"] == ["gangplank_train_loss"]
        assert [row["job"] for row in rows(server, RUN, "Runs", opened)] == ["second"]
        everything, each = chosen(server, RUN)
        assert each["run"] == [newest, strange, "older", ""]
        for run, job in ((strange, "first"), ("", "unnamed")):
            assert [row["job"] for row in rows(server, RUN, "Runs", {**opened, "run": [run]})] == [job]
        assert len(rows(server, RUN, "Runs", everything)) == 3

        # Each run is a line of its own, also where it has no name.
        by_start = [one.expr for one in queries(RUN, everything) if "label_join" in one.expr]
        for expr in by_start:
            lines = [labels["line"].split(" ")[:2] for labels, _ in server.query(expr)]
            assert sorted(lines) == [["first", strange], ["second", newest], ["unnamed", ""]]


def test_a_run_is_one_row_where_the_pod_of_the_gateway_is_a_label(tmp_path: Path) -> None:
    pod = {"pod": "pushgateway-7d9c"}
    with pushgateway(tmp_path) as gateway, prometheus(tmp_path, gateway.address, labels=pod) as server:
        trained(gateway, "digits", info={"pod": "digits-x2k9", "owner": "ann"})
        seen(server, 1)
        for dashboard, title in ((FLEET, "All runs"), (RUN, "Runs")):
            (row,) = rows(server, dashboard, title, at_first(server, dashboard))
            assert (row["job"], row["state"], row["owner"]) == ("digits", "finished", "ann")
