"""The dashboards: what Grafana needs, and that each query has an answer where runs use all that the core exports."""

from __future__ import annotations

import itertools
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gangplank.monitoring import dashboards, rules
from gangplank.testing import MemorySink
from support.fleet import fleet
from support.grafana import BUILT_IN, chosen, in_short, interpolated, panels, rows, variables, without_answer
from support.reading import eventually
from support.servers import Generation, prometheus, pushgateway

DASHBOARDS = dashboards()
ALL = ["gangplank-fleet.json", "gangplank-run.json"]
RECORDED = set(re.findall(r"record: (\S+)", rules()))
OTHERS = {"ALERTS", "DCGM_FI_DEV_GPU_UTIL"}
OF_LINKS = {"__all", "__data", "__value", "__url_time_range"}  # which Grafana defines
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def exprs(name: str) -> dict[str, str]:
    """Return the queries of a dashboard, by where they are."""
    dashboard = DASHBOARDS[name]
    found = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in panels(dashboard)
        for target in panel.get("targets", ())
    }
    found |= {f"annotation {one['name']}": one["expr"] for one in dashboard["annotations"]["list"]}
    for one in variables(dashboard):
        kind, _, query = one["query"]["query"].removesuffix(")").partition("(")
        found[f"variable {one['name']}"] = query.rpartition(",")[0] if kind == "label_values" else query
    return found


def families(expr: str) -> tuple[set[str], set[str]]:
    """Return the names of metrics in a query, and the regular expressions for names."""
    patterns = set(re.findall(r'__name__=~"([^"]*)"', expr))
    rest = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]', " ", re.sub(r'"[^"]*"', '""', expr))
    rest = re.sub(r"\b(by|without|on|ignoring|group_left|group_right) \([^)]*\)", " ", rest)
    return set(re.findall(r"(?<![\w.$])[a-zA-Z_][\w:]*(?![\w:]|\s*\()", rest)) - {"and", "or", "unless"}, patterns


def known() -> set[str]:
    """Return the names of all samples that runs export."""
    memory = MemorySink()
    with fleet("memory", sink=memory, ignore_exceptions=False) as go_on:
        go_on()
    return {sample.name for page in memory.pages for family in page.collect() for sample in family.samples}


def test_these_are_the_dashboards() -> None:
    assert list(DASHBOARDS) == ALL
    assert [one["uid"] for one in DASHBOARDS.values()] == ["gangplank-fleet", "gangplank-run"]
    assert json.loads(json.dumps(DASHBOARDS)) == DASHBOARDS


@pytest.mark.parametrize("name", ALL)
def test_panels_have_numbers_and_places_of_their_own(name: str) -> None:
    numbers = [panel["id"] for panel in panels(DASHBOARDS[name])]
    assert len(set(numbers)) == len(numbers) > 5
    cells: set[tuple[int, int]] = set()
    for panel in panels(DASHBOARDS[name]):
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24
        taken = set(
            itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
        )
        assert taken
        assert cells.isdisjoint(taken), panel["title"]
        cells |= taken


@pytest.mark.parametrize("name", ALL)
def test_the_data_source_and_all_else_that_varies_is_a_variable(name: str) -> None:
    dashboard = DASHBOARDS[name]
    for panel in panels(dashboard):
        if panel["type"] != "row":
            assert panel["description"]
            assert panel["targets"]
            assert all(one["datasource"] == DATASOURCE for one in (panel, *panel["targets"]))
    listed = dashboard["templating"]["list"]
    assert all("current" in one for one in listed)  # some of Grafana 10 cannot do without
    assert all(one["datasource"] == DATASOURCE for one in (*listed[1:], *dashboard["annotations"]["list"]))
    used = {one or other for one, other in re.findall(r"\$(\w+)|\$\{(\w+)", json.dumps(dashboard))}
    used |= {panel["repeat"] for panel in panels(dashboard) if "repeat" in panel}
    assert {one for one in used if not one.isdigit()} - BUILT_IN.keys() - OF_LINKS == {one["name"] for one in listed}
    assert all(one["multi"] for one in variables(dashboard))
    # Where there is `All`, Grafana 9 and 10 open with it; where there is none, with the first if nothing is chosen.
    assert [one["name"] for one in variables(dashboard) if not one["includeAll"]] == (["run"] if name == ALL[1] else [])
    assert all((one["current"]["value"] == ["$__all"]) == one["includeAll"] for one in variables(dashboard))
    # Each variable is asked for after those that its query has.
    for place, one in enumerate(listed):
        names = {other["name"] for other in listed[:place]}
        assert set(re.findall(r"\$(\w+)", str(one["query"]))) - BUILT_IN.keys() <= names


@pytest.mark.parametrize("name", ALL)
def test_queries_name_what_there_is_and_join_by_what_all_have(name: str) -> None:
    exported = known() | RECORDED | OTHERS
    for where, expr in exprs(name).items():
        names, patterns = families(expr)
        assert names | patterns, where
        assert names <= exported, where
        for pattern in patterns - {"$metric"}:
            assert any(re.fullmatch(pattern, one) for one in exported), where
        assert not re.search(r"\ble\s*[=!]", expr), where
        assert not re.search(r"rate\([^[]*model_weights", expr), where
        assert set(re.findall(r"\bon \(([^)]*)\)", expr)) <= {"job, phase, run", "job, phase", "host", ""}, where
        for window in re.findall(r"\[(.+?)\]", expr):
            assert window in ("$__rate_interval", "$__range") or int(window.removesuffix("m")) >= 5, where


@pytest.mark.parametrize("name", ALL)
def test_tables_say_nothing_of_rows_in_their_cells_and_their_links_are_encoded(name: str) -> None:
    for panel in panels(DASHBOARDS[name]):
        if panel["type"] == "table":
            everywhere, *others = panel["fieldConfig"]["overrides"]
            assert everywhere["matcher"] == {"id": "byRegexp", "options": ".*"}
            assert everywhere["properties"] == [{"id": "noValue", "value": "-"}]
            of_each = [{each["id"]: each["value"] for each in one["properties"]} for one in others]
            for each in of_each:  # a colour for Grafana 9.5 and newer, and for those before
                assert each.get("custom.cellOptions", {}).get("type") == each.get("custom.displayMode")
            assert any("custom.displayMode" in each for each in of_each)
            (url,) = (link["url"] for each in of_each for link in each.get("links", ()))
            of_the_row = re.findall(r"=\$\{(\w+)\.([^}]+)\}", url)
            assert of_the_row == [
                ("__data", "fields.job:percentencode"),
                ("__data", "fields.phase:percentencode"),
                ("__value", "raw:percentencode"),
            ]


def test_the_documentation_names_what_there_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "dashboards.md").read_text()
    tables = [re.findall(r"^\| ([A-Z][^|]*) \|", part, re.MULTILINE) for part in page.split("\n## ")]
    fleet_names, run_names = (
        [panel["title"] for panel in DASHBOARDS[name]["panels"] if panel["type"] == "row" or name == ALL[0]]
        for name in ALL
    )
    assert set(tables[2]) <= set(fleet_names)
    assert tables[3] == run_names


def test_names_are_found_in_a_query() -> None:
    expr = 'sum by (le) (rate(a{job=~"$job",x="b{c}"}[5m])) / on (d) group_left () max(e:f) or {__name__=~"g.+"} > 1e3'
    assert families(expr) == ({"a", "e:f"}, {"g.+"})


@contextmanager
def dcgm() -> Iterator[str]:
    """Run what looks like DCGM's exporter on this host: one GPU is busy, and one is idle."""
    text = "".join(
        f'DCGM_FI_DEV_GPU_UTIL{{gpu="{gpu}",Hostname="{socket.gethostname()}"}} {use}\n'
        for gpu, use in enumerate((97, 2))
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("generation", ["old", "new"])
def test_each_panel_shows_something(tmp_path: Path, generation: Generation) -> None:
    with (
        pushgateway(tmp_path, generation=generation) as gateway,
        dcgm() as gpus,
        prometheus(tmp_path, f"{gateway.address},{gpus}", rules=in_short(), generation=generation) as server,
        fleet(gateway.address) as go_on,
    ):

        def look() -> list[str]:
            go_on()
            found = []
            for name in ALL:
                everything, each = chosen(server, DASHBOARDS[name])
                assert set(each["job"]) <= {"broken", "digits", "wide"}
                found += without_answer(server, DASHBOARDS[name], everything) + without_answer(
                    server, DASHBOARDS[name], each
                )
            return found

        eventually(look, lambda missing: not missing, timeout=60)
        everything, each = chosen(server, DASHBOARDS["gangplank-run.json"])
        assert {"gangplank_train_loss", "gangplank_train_val_loss", "gangplank_validate_loss"} <= set(each["metric"])
        assert not [one for one in each["metric"] if re.search("elapsed|rate|model|epochs_count", one)]
        assert len(each["run"]) == 5

        shown = rows(server, DASHBOARDS[ALL[0]], "All runs", everything)
        by_state = sorted((row["job"], row["phase"], row["state"], row.get("alerts", 0)) for row in shown)
        assert by_state == [
            ("broken", "train", "failed", 1),
            ("digits", "train", "running", 1),
            ("digits", "validate", "finished", 0),
            ("wide", "train", "running", 1),
            ("wide", "train", "running", 1),
        ]
        (digits,) = (row for row in shown if (row["job"], row["phase"]) == ("digits", "train"))
        assert digits["team"] == "vision"
        assert digits["host"] == socket.gethostname()
        for column in ("progress", "time left", "heartbeat", "checkpoint", "goodput", "validation loss", "its best"):
            assert digits[column] >= 0
        assert digits["its best"] <= digits["validation loss"]

        held = rows(server, DASHBOARDS[ALL[0]], "GPUs of the machines with running trainings", everything)
        assert [(row["busiest GPU"], row["GPUs"], row["under 10 %"]) for row in held] == [(97, 2, 1)] * 3
        assert len(rows(server, DASHBOARDS[ALL[1]], "Runs", everything)) == 5
        verdict = [
            server.query(interpolated(panel["targets"][0]["expr"], everything))[0][1]
            for panel in DASHBOARDS["gangplank-fleet.json"]["panels"][:2]
        ]
        assert verdict == [4, 3]
