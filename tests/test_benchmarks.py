"""The benchmark itself: it runs, it notices wrong answers, and the documentation says what its figures say."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import bench, contest, figures, fleet, plots, tables
from benchmarks.contest import OURS, Contest, MissingError, Target

from gangplank.monitoring import dashboards
from support.grafana import queries
from support.servers import find

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "benchmarks" / "bench.py"
LOOP = "a loop"
RESULT: dict[str, Any] = {
    "machine": {"cpu": "A processor", "cores": 2, "memory_gb": 8, "system": "Linux", "python": "3.11.0"},
    "versions": {"gangplank": "0.6.0", "numpy": "2.0.0"},
    "date": "2030-01-02",
    "quick": False,
    "rounds": 3,
    "contests": [
        Contest(
            group="Weight histograms, one core",
            what="13 edges, float32, normal",
            unit="ns per weight",
            rounds={OURS: [1.5, 2.0, 1.75], LOOP: [900.0, 1000.0, 980.0]},
            targets=(Target(most=1.6), Target(times=350, than=LOOP)),
            missing={"gangplank 0.5.0": "no registry"},
            notes=("Right.",),
        ).to_json(),
        Contest(group="Growth", what="10,000 weights", unit="ns per weight", rounds={OURS: [6.0]}).to_json(),
        Contest(group="Growth", what="1,000,000 weights", unit="ns per weight", rounds={OURS: [2.0]}).to_json(),
        Contest(
            group="A shared gateway",
            what="10 jobs of 40 gauges, 600 series",
            unit="",
            rounds={"pushes per second": [500.0], "scrape, MB": [0.07], "scrape, s": [0.001]},
        ).to_json(),
    ],
}
TABLES = """\
A processor, 2 cores, 8 GB; Linux, Python 3.11.0; gangplank 0.6.0, numpy 2.0.0. 3 rounds in turns, on 2030-01-02.

### Weight histograms, one core

| what | contestant | median (lowest to highest) | times ours | target | |
|---|---|--:|--:|--:|---|
| 13 edges, float32, normal | gangplank | 1.75 ns per weight (1.5 to 2) |  | at most 1.6 ns per weight | **missed** |
|  | a loop | 980 ns per weight (900 to 1,000) | 560 (500 to 600) | at least 350 times ours | met (560) |
|  | gangplank 0.5.0 | not measured: no registry | | | |

- Right.

### Growth

| what | contestant | median (lowest to highest) | times ours | target | |
|---|---|--:|--:|--:|---|
| 10,000 weights | gangplank | 6 ns per weight |  |  |  |
| 1,000,000 weights | gangplank | 2 ns per weight |  |  |  |

### A shared gateway

| the gateway holds | pushes per second | scrape, MB | scrape, s |
|---|--:|--:|--:|
| 10 jobs of 40 gauges, 600 series | 500 | 0.07 | 0.001 |"""


def run(*options: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    command = [sys.executable, str(BENCH), "--quick", "--rounds", "1", *options]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)


def test_a_quick_run_writes_its_figures(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    ran = run("--only", "tiny", "kinds", "imports", "--json", str(file))
    assert ran.returncode == 0, ran.stderr
    result = json.loads(file.read_text())
    assert [read["what"] for read in result["contests"]] == [
        "10,000 tensors of 100 weights, 13 edges",
        "edges and dtypes",
        "`import gangplank`, a new interpreter each time",
    ]
    assert all(figure > 0 for read in result["contests"] for taken in read["rounds"].values() for figure in taken)
    assert "10,000 tensors" in ran.stdout
    assert "10,000 tensors" in tables.tables(result)
    assert str(ROOT) not in file.read_text()


def test_a_wrong_answer_fails_it(tmp_path: Path) -> None:
    # What every interpreter imports at its start: one weight more is counted.
    (tmp_path / "sitecustomize.py").write_text(
        "import numpy\n"
        "count = numpy.count_nonzero\n"
        "numpy.count_nonzero = lambda *args, **more: count(*args, **more) + 1\n"
    )
    ran = run("--only", "tiny", path=tmp_path)
    assert ran.returncode == 1
    assert "WRONG: tiny tensors" in ran.stderr


def test_a_missing_peer_says_why() -> None:
    def miss() -> float:
        raise MissingError("no registry")

    turns = iter([1.0, 2.0, 3.0])
    assert contest.take_turns({OURS: lambda: next(turns), "peer": miss}, 3) == (
        {OURS: [1.0, 2.0, 3.0]},
        {"peer": "no registry"},
    )


def test_the_tables_of_a_result() -> None:
    assert tables.tables(RESULT) == TABLES
    again = json.loads(json.dumps(RESULT))
    assert tables.tables(again) == TABLES


def test_the_short_table_of_a_result() -> None:
    assert tables.headlines(RESULT).splitlines()[2] == (
        "| counting a weight (13 edges, sum, non-finite) | 1.75 ns | a loop 980 ns |"
    )


def test_the_plots_of_a_result() -> None:
    drawn = plots.plots(RESULT)
    assert list(drawn) == ["growth.svg"]
    assert ET.fromstring(drawn["growth.svg"]).tag.endswith("svg")  # noqa: S314  ours


def test_the_text_goes_between_the_markers() -> None:
    assert bench.filled("a\n<!-- bench -->\nold\n<!-- /bench -->\nb\n", "new\n") == (
        "a\n<!-- bench -->\nnew\n<!-- /bench -->\nb\n"
    )


@pytest.mark.skipif(not bench.RESULTS.exists(), reason="nothing has been measured yet")
def test_the_documentation_says_what_was_measured() -> None:
    result = json.loads(bench.RESULTS.read_text())
    page, readme = bench.PAGE.read_text(), bench.README.read_text()
    assert bench.filled(page, tables.tables(result)) == page
    if "<!-- bench -->" in readme:
        assert bench.filled(readme, tables.headlines(result)) == readme
    for name, svg in plots.plots(result).items():
        assert (bench.PAGE.parent / "plots" / name).read_text() == svg


def test_the_documentation_says_what_a_fleet_costs() -> None:
    result = json.loads(fleet.RESULTS.read_text())
    assert figures.filled(fleet.PAGE, "fleet", fleet.table(result)) == fleet.PAGE.read_text()
    assert fleet.slow(result) == []
    asked = list(queries(dashboards()["gangplank-fleet.json"], {"job": [".*"], "phase": [".*"]}))
    assert {each["dashboards"]["all runs"]["queries"] for each in result["generations"]} == {len(asked)}


def test_a_slow_query_and_a_slow_frame_are_told() -> None:
    result = json.loads(fleet.RESULTS.read_text())
    result["generations"][0]["dashboards"]["all runs"] |= {"slowest_s": 1.0, "slowest": "Runs by state"}
    result["generations"][1]["frames"]["gangplank watch GATEWAY"]["median_s"] = 1.0
    assert [each.partition(" takes")[0] for each in fleet.slow(result)] == [
        "all runs: Runs by state",
        "a frame of gangplank watch GATEWAY",
    ]


def test_a_small_fleet(tmp_path: Path) -> None:
    find("promtool")
    file = tmp_path / "figures.json"
    small = ["--runs", "12", "--days", "1", "--each", "1s", "--quiet", "1", "--seconds", "5", "--generations", "old"]
    command = [sys.executable, fleet.__file__, *small, "--json", str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert ran.returncode == 0, ran.stderr
    (measured,) = json.loads(file.read_text())["generations"]
    assert measured["samples"] > 12 * 60
    assert measured["alerts"] >= 2  # one is dead, one has failed; the one with NaN is told after five minutes
    assert list(measured["rules"]) == ["gangplank-alerts", "gangplank-runs", "gangplank-trainings"]
    assert len(measured["commands"]) == 3
    assert len(measured["frames"]) == 2


def test_every_row_is_there() -> None:
    for row, room in bench.ROWS.items():
        assert callable(getattr(importlib.import_module(f"benchmarks.{room}"), row))
