"""What Grafana does with a dashboard, as far as the tests need it."""

from __future__ import annotations

import json
import math
import re
import time
import urllib.error
import urllib.parse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gangplank.monitoring import dashboards, rules
from support.servers import Prometheus, get

# Of its own variables, what they are for a dashboard of an hour: `$__rate_interval` is at least four times the shortest
# step of a panel, which is a minute.
BUILT_IN = {"__rate_interval": "4m", "__range": "1h", "__interval": "1m"}
RANGE = 6 * 3600  # seconds, of the dashboards
Labels = dict[str, str]
Row = dict[str, str | float]


class Query(NamedTuple):
    """A query that a dashboard asks: of which panel, for what, for its time range or for now, and the shortest step."""

    panel: str
    expr: str
    ranged: bool
    step: str


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the panels, also those of collapsed rows, which they follow."""
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", ())


def interpolated(text: str, chosen: Mapping[str, Sequence[str]]) -> str:
    """Return a query with the values of its variables.

    Args:
        text: the query.
        chosen: values by variable; `.*` is what `All` stands for. Without them, Grafana's own are for an hour.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name in BUILT_IN and name not in chosen:
            return BUILT_IN[name]
        if name.isdigit():  # as in label_replace
            return match[0]
        values = [one if one == ".*" else re.sub(r"[\\^$*{}'\[\]+?.()|]", r"\\\\\g<0>", one) for one in chosen[name]]
        return values[0] if len(values) == 1 else f"({'|'.join(values)})"

    return re.sub(r"\$(\w+)|\$\{(\w+)\}", value, text)


def values_of_variable(prometheus: Prometheus, query: str, regex: str = "") -> list[str]:
    """Return what a variable can be chosen of.

    Args:
        prometheus: the data source.
        query: `label_values(selector, label)`, or `query_result(promql)`, with the values of its variables.
        regex: of the variable: with slashes around it.
    """
    if promql := re.fullmatch(r"query_result\((.+)\)", query):
        values = [_in_text(*sample) for sample in prometheus.query(promql[1])]
    else:
        parts = re.fullmatch(r"label_values\((.+),\s*(\w+)\)", query)
        assert parts, query
        asked = urllib.parse.urlencode({"match[]": parts[1], "start": time.time() - RANGE, "end": time.time()})
        values = json.loads(get(f"{prometheus.url}/api/v1/label/{parts[2]}/values?{asked}", timeout=60))["data"]
    found = [match for value in values if (match := re.search(regex.strip("/"), value))]
    return [match[1] if match.re.groups else match.string for match in found]


def _in_text(labels: Labels, value: float) -> str:
    """Return a sample as Grafana shows it to the regular expression of a variable."""
    return "{" + ",".join(f'{name}="{one}"' for name, one in labels.items()) + f"}} {value!r} {time.time() * 1000:.0f}"


def variables(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the variables that ask Prometheus for what can be chosen."""
    return [one for one in dashboard["templating"]["list"] if one["type"] == "query"]


def chosen(prometheus: Prometheus, dashboard: Mapping[str, Any]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return what the variables of a dashboard are if `All` is chosen, and if each value is."""
    everything: dict[str, list[str]] = {}
    each: dict[str, list[str]] = {}
    for one in variables(dashboard):
        query = interpolated(one["query"]["query"], everything)
        each[one["name"]] = values_of_variable(prometheus, query, one.get("regex", ""))
        everything[one["name"]] = [one["allValue"]] if one["allValue"] else each[one["name"]]
    return everything, each


def at_first(prometheus: Prometheus, dashboard: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what the variables of a dashboard are when it is opened: what is chosen in it, or the first value."""
    values: dict[str, list[str]] = {}
    for one in variables(dashboard):
        options = values_of_variable(prometheus, interpolated(one["query"]["query"], values), one.get("regex", ""))
        everything = [one["allValue"]] if one["allValue"] else options
        values[one["name"]] = everything if one["current"]["value"] == ["$__all"] else options[:1]
    return values


def queries(dashboard: Mapping[str, Any], values: Mapping[str, Sequence[str]]) -> Iterator[Query]:
    """Yield what a dashboard asks: the queries of its panels, of which some are repeated, and of its annotations.

    Args:
        dashboard: as a dict.
        values: by variable.
    """
    targets = [(panel, target) for panel in panels(dashboard) for target in panel.get("targets", ())]
    targets += [({"title": "annotation"}, {"range": True, **one}) for one in dashboard["annotations"]["list"]]
    for panel, target in targets:
        repeat = panel.get("repeat")
        for scope in ({repeat: [one]} for one in values[repeat]) if repeat else ({},):
            expr = interpolated(target["expr"], {**values, **scope})
            yield Query(panel["title"], expr, target["range"], target.get("interval", "1m"))


def over_time(prometheus: Prometheus, promql: str) -> list[tuple[Labels, list[float]]]:
    """Return the series of a query for the last minute: labels and values."""
    end = time.time()
    asked = urllib.parse.urlencode({"query": promql, "start": end - 60, "end": end, "step": 1})
    answer = json.loads(get(f"{prometheus.url}/api/v1/query_range?{asked}"))
    return [(series["metric"], [float(value) for _, value in series["values"]]) for series in answer["data"]["result"]]


def merged(frames: Sequence[Sequence[tuple[Labels, float]]]) -> list[Row]:
    """Return the rows of a table, as the transformation `merge` makes them: those that contradict in nothing are one.

    Args:
        frames: the samples of each query; the value of the first is `A`, and so on.
    """
    rows: list[Row] = []
    for number, frame in enumerate(frames):
        names = {name for labels, _ in frame for name in labels}
        for labels, value in frame:
            new: Row = {**{name: labels.get(name, "") for name in names}, chr(ord("A") + number): value}
            fit = [row for row in rows if all(row.get(name, there) == there for name, there in new.items())]
            for row in fit:
                row.update(new)
            if not fit:
                rows.append(new)
    return rows


def rows(
    prometheus: Prometheus, dashboard: Mapping[str, Any], title: str, values: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Return the rows of a table of a dashboard; a value has the title of its column."""
    (panel,) = (one for one in panels(dashboard) if one["title"] == title and one["type"] == "table")
    titles = panel["transformations"][1]["options"]["renameByName"]
    frames = [prometheus.query(interpolated(one["expr"], values)) for one in panel["targets"]]
    return [{titles.get(f"Value #{key}", key): value for key, value in row.items()} for row in merged(frames)]


def in_short() -> str:
    """Return the rules for a history of seconds."""
    return rules().replace("interval: 4m", "interval: 1s").replace("[10m]", "[10s]")


def without_answer(server: Prometheus, dashboard: Mapping[str, Any], values: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the queries of a dashboard that have no answer, or an error, each with its panel in front."""
    missing = []
    for query in queries(dashboard, values):
        try:
            if query.ranged:
                answer = [value for _, series in over_time(server, query.expr) for value in series]
            else:
                answer = [value for _, value in server.query(query.expr)]
        except urllib.error.HTTPError as error:
            missing.append(f"{query.panel}: {error.read().decode()}: {query.expr}")
            continue
        if all(map(math.isnan, answer)):
            missing.append(f"{query.panel}: {query.expr}")
    return missing


class Look:
    """Looks at the dashboard of a run while that goes on, until exactly these panels are empty.

    Args:
        server: a Prometheus that scrapes it, with the rules of `in_short`.
        expected: the titles of panels.

    Attributes:
        empty: those that are.
    """

    def __init__(self, server: Prometheus, expected: set[str]) -> None:
        self.expected = expected
        self.empty: set[str] | None = None
        self._server = server

    def __call__(self) -> None:
        """Let a moment of the training pass, and look."""
        if self.empty != self.expected:
            time.sleep(0.2)
            self.empty = self._look()

    def _look(self) -> set[str]:
        dashboard = dashboards()["gangplank-run.json"]
        everything, _ = chosen(self._server, dashboard)
        missing = without_answer(self._server, dashboard, everything)
        assert not [one for one in missing if '"error"' in one], missing
        asked = Counter(query.panel for query in queries(dashboard, everything) if query.panel != "annotation")
        without = Counter(one.partition(": ")[0] for one in missing)
        return {panel for panel, count in asked.items() if without[panel] == count}
