"""A fleet of a thousand runs on one Pushgateway: what the dashboards, the rules and the command cost.

Prometheus, of two generations, scrapes the gateway, with the rules of gangplank and a week of history in which each
job trains once a day. Each run pushes once a minute. Meanwhile each query of each dashboard is asked as Grafana does
it, `gangplank watch` shows the runs, and Prometheus says how long each group of rules takes. Fails if a query, or a
frame of `watch`, takes a second.

The gateway does not check each push for consistency with all others: that takes most of a core for such a fleet, as
docs/performance.md says, and the figures here are of Prometheus.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.util
import io
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console

from benchmarks import figures
from benchmarks.fleet_history import write_history
from benchmarks.fleet_runs import Job, going_on, jobs, push
from benchmarks.worker import Worker
from gangplank.cli.remote.gateway import GatewayClient
from gangplank.cli.remote.prometheus import Prometheus as PrometheusClient
from gangplank.cli.watch.sources import GatewaySource, PrometheusSource
from gangplank.cli.watch.terminal import frame
from gangplank.cli.watch.watcher import Watcher
from gangplank.monitoring import dashboards, rules
from support.grafana import RANGE, Query, chosen, queries
from support.servers import Generation, Prometheus, Server, find, get, prometheus, pushgateway, version_of

PAGE = figures.ROOT / "docs" / "dashboards.md"
RESULTS = figures.ROOT / "benchmarks" / "fleet.json"
GENERATIONS: tuple[Generation, ...] = ("old", "new")
TIMES = 3  # each query is asked
MOST = 1.0  # seconds of a query, and of a frame
TEN = 10
SCREEN = (80, 50)  # columns and lines
EVERY, FRAMES = 5.0, 7  # seconds between frames, and how many
COMMANDS = {"show": ["{gateway}"], "watch": ["{gateway}", "--once"], "watch ": ["--prometheus", "{url}", "--once"]}


def seconds(server: Prometheus, query: Query) -> float:
    """Return how long a query takes, the median of some times; the answer is read, and not parsed."""
    asked: dict[str, object] = {"query": query.expr}
    taken = []
    for _ in range(TIMES):
        if query.ranged:
            step = 60 * int(query.step.removesuffix("m"))
            now = time.time() // step * step
            asked |= {"start": now - RANGE, "end": now, "step": step}
        path = "query_range" if query.ranged else "query"
        start = time.perf_counter()
        get(f"{server.url}/api/v1/{path}?{urllib.parse.urlencode(asked)}", timeout=60)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def asked_of(server: Prometheus, dashboard: Mapping[str, Any], values: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return how long the queries of a dashboard take, by panel."""
    took = [(seconds(server, query), query.panel) for query in queries(dashboard, {**values, "__range": ["6h"]})]
    slowest, panel = max(took)
    return {"queries": len(took), "total_s": sum(each for each, _ in took), "slowest_s": slowest, "slowest": panel}


def await_compaction(blocks: Path, quiet: float) -> None:
    """Wait until Prometheus has joined the blocks of the history, as it would have done in the course of the week.

    Args:
        blocks: the folder.
        quiet: seconds without another block; Prometheus looks for what it can join once a minute.
    """
    since, seen = time.monotonic(), set(blocks.iterdir())
    while time.monotonic() < since + quiet:
        time.sleep(1.0)
        if (now := set(blocks.iterdir())) != seen:
            since, seen = time.monotonic(), now


def evaluations(server: Prometheus, lasting: float) -> dict[str, float]:
    """Return the longest evaluation of each group of rules within some seconds, after its first."""
    longest: dict[str, float] = {}
    first: dict[str, str] = {}
    end = time.monotonic() + lasting
    while time.monotonic() < end:
        for group in json.loads(get(f"{server.url}/api/v1/rules"))["data"]["groups"]:
            name, last = group["name"], group["lastEvaluation"]
            if first.setdefault(name, last) != last and not last.startswith("0001"):
                longest[name] = max(longest.get(name, 0.0), group["evaluationTime"])
        time.sleep(1.0)
    return longest


def commands(gateway: Server, server: Prometheus) -> dict[str, float]:
    """Return how long each command takes, of those that there are."""
    took = {}
    for name, arguments in COMMANDS.items():
        if importlib.util.find_spec(f"gangplank.cli.{name.strip()}"):
            filled = [argument.format(gateway=gateway.address, url=server.url) for argument in arguments]
            command = [sys.executable, "-m", "gangplank", name.strip(), *filled]
            start = time.perf_counter()
            done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)  # noqa: S603  ours
            took[" ".join(["gangplank", name.strip(), *arguments])] = time.perf_counter() - start
            if done.returncode:
                raise SystemExit(f"{' '.join(command)} fails: {done.stderr}")
    return took


def frames(address: str, *, prometheus: bool) -> dict[str, float]:
    """Return how long `gangplank watch` takes from one frame to the next: the median and the longest of half a minute.

    Args:
        address: of the server to watch.
        prometheus: whether it is a Prometheus; otherwise it is a gateway.
    """
    gc.set_threshold(50_000)  # as the command does
    source = (
        PrometheusSource(PrometheusClient(address), hours=6) if prometheus else GatewaySource(GatewayClient(address))
    )
    watcher = Watcher(source, EVERY)
    console = Console(file=io.StringIO(), width=SCREEN[0])
    times = []
    for _ in range(1 + FRAMES):
        start = time.perf_counter()
        console.print(frame(watcher, watcher.read(), *SCREEN))
        times.append(time.perf_counter() - start)
        if watcher.view.error:
            raise SystemExit(watcher.view.error)
        time.sleep(EVERY)
    del times[0]  # the first has the past to read
    return {"median_s": statistics.median(times), "longest_s": max(times)}


def measure(
    fleet: Sequence[Job], history: Path, generation: Generation, *, each: str, quiet: float, lasting: float
) -> dict[str, Any]:
    """Return the figures of a generation of servers.

    Args:
        fleet: the jobs.
        history: a folder with the blocks of their past.
        generation: of the servers.
        each: how often Prometheus scrapes and evaluates the rules.
        quiet: seconds without another block, after which Prometheus is ready.
        lasting: seconds in which it does so before the queries.
    """
    # Those that are evaluated each four minutes are evaluated more often at first, so that they are seen.
    text = rules().replace("interval: 4m", f"interval: {each}")
    shown = dashboards()
    with tempfile.TemporaryDirectory() as made, contextlib.ExitStack() as until:
        folder = Path(made)
        shutil.copytree(history, folder / "tsdb")
        watch = until.enter_context(Worker())  # another process than the one that pushes
        gateway = until.enter_context(pushgateway(folder, "--push.disable-consistency-check", generation=generation))
        for job in fleet:
            push(gateway, job)
        until.enter_context(going_on(gateway, fleet))
        # Who has a Prometheus watches that.
        watched = {"gangplank watch GATEWAY": watch.call("fleet:frames", address=gateway.address, prometheus=False)}
        server = until.enter_context(
            prometheus(folder, gateway.address, rules=text, each=each, rules_each=each, generation=generation)
        )
        server.await_query('up{job="pushgateway"} == 1', timeout=120)
        await_compaction(folder / "tsdb", quiet)
        evaluated = evaluations(server, lasting)
        (folder / "rules.yml").write_text(rules())
        server.process.send_signal(signal.SIGHUP)
        everything, _ = chosen(server, shown["gangplank-run.json"])
        watched["gangplank watch --prometheus URL"] = watch.call("fleet:frames", address=server.url, prometheus=True)
        names = [str(job.page_at(time.time()).labels["run"]) for job in fleet[:TEN]]
        ten = {**everything, "job": [job.name for job in fleet[:TEN]], "run": names}
        return {
            "prometheus": version_of(find("prometheus", generation=generation)),
            "samples": server.query("scrape_samples_scraped")[0][1],
            "scrape_s": server.query("avg_over_time(scrape_duration_seconds[1m])")[0][1],
            "alerts": server.query('count(ALERTS{alertstate="firing"}) or vector(0)')[0][1],
            "rules": evaluated,
            "dashboards": {
                "all runs": asked_of(server, shown["gangplank-fleet.json"], everything),
                "ten runs": asked_of(server, shown["gangplank-run.json"], ten),
            },
            "frames": watched,
            "commands": commands(gateway, server),
        }


def table(result: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    columns = result["generations"]
    rows = [("scrape of the gateway", [f"{each['scrape_s']:.2f} s" for each in columns])]
    for name in columns[0]["dashboards"]:
        each = [column["dashboards"][name] for column in columns]
        rows.append((f"dashboard of {name}: slowest query", [f"{one['slowest_s']:.2f} s" for one in each]))
        rows.append(
            (f"dashboard of {name}: its {each[0]['queries']} queries", [f"{one['total_s']:.2f} s" for one in each])
        )
    rows += [(f"rules `{name}`", [f"{each['rules'][name]:.2f} s" for each in columns]) for name in columns[0]["rules"]]
    for name in columns[0]["frames"]:
        took = [each["frames"][name] for each in columns]
        rows.append((f"`{name}`, a frame", [f"{each['median_s']:.2f} s" for each in took]))
        rows.append(("the longest frame in half a minute", [f"{each['longest_s']:.2f} s" for each in took]))
    rows += [
        (f"`{name.format(gateway='GATEWAY', url='URL')}`", [f"{each['commands'][name]:.2f} s" for each in columns])
        for name in columns[0]["commands"]
    ]
    about = (
        f"{result['runs']:,} runs, {columns[0]['samples']:,.0f} series in a scrape, {result['days']} days of history of"
        f" {result['history']:,} samples, {columns[0]['alerts']:.0f} alerts that fire; {result['machine']}."
    )
    lines = [
        about,
        "",
        f"| | {' | '.join('Prometheus ' + each['prometheus'] for each in columns)} |",
        f"|---{'|--:' * len(columns)}|",
        *(f"| {what} | {' | '.join(each)} |" for what, each in rows),
    ]
    return "\n".join(lines)


def slow(result: Mapping[str, Any]) -> list[str]:
    """Return the queries of dashboards, and the frames of `gangplank watch`, that take too long."""
    return [
        f"{what} takes {took:.2f} s with Prometheus {each['prometheus']}"
        for each in result["generations"]
        for what, took in (
            *((f"{name}: {its['slowest']}", its["slowest_s"]) for name, its in each["dashboards"].items()),
            *((f"a frame of {name}", its["median_s"]) for name, its in each["frames"].items()),
        )
        if took >= MOST
    ]


def main() -> int:
    """Measure a fleet, and print the figures."""
    parser = argparse.ArgumentParser(description="Measure dashboards, rules and command with a thousand runs.")
    parser.add_argument("--runs", type=int, default=1000, help="at the same time (default: %(default)s)")
    parser.add_argument("--days", type=int, default=7, help="of history (default: %(default)s)")
    parser.add_argument("--each", default="15s", help="scraped and evaluated (default: %(default)s)")
    parser.add_argument("--quiet", type=float, default=75.0, help="seconds until blocks are joined (%(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of rules watched (default: %(default)s)")
    parser.add_argument("--generations", nargs="+", choices=GENERATIONS, default=GENERATIONS, help="of Prometheus")
    parser.add_argument("--json", type=Path, help=f"file for the figures (with --write {RESULTS.name})")
    parser.add_argument("--write", action="store_true", help="write the table into docs/dashboards.md")
    parser.add_argument("--history", type=Path, help="folder to keep the history in, for another time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = options.history or Path(made)
        history, about = folder / "tsdb", folder / "about.json"
        if about.exists():
            now, samples = json.loads(about.read_text())
            fleet = list(jobs(options.runs, now))
        else:
            now = time.time()
            fleet = list(jobs(options.runs, now))
            history.mkdir(parents=True)
            samples = write_history(fleet, options.days, history)
            about.write_text(json.dumps([now, samples]))
        result = {
            "machine": figures.machine(),
            "runs": options.runs,
            "days": options.days,
            "history": samples,
            "generations": [
                measure(fleet, history, generation, each=options.each, quiet=options.quiet, lasting=options.seconds)
                for generation in options.generations
            ],
        }
    print(table(result))
    figures.write_json(options.json or (RESULTS if options.write else None), result)
    if options.write:
        figures.write_page("fleet", table(result), PAGE)
    for each in slow(result):
        print(f"TOO SLOW: {each}", file=sys.stderr)
    return 1 if slow(result) else 0


if __name__ == "__main__":
    sys.exit(main())
