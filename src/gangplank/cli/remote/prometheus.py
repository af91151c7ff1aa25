"""A Prometheus, read through its HTTP API."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from gangplank.cli.remote.client import Client
from gangplank.cli.remote.memory import remembering
from gangplank.cli.remote.runs import SAMPLE_LABELS
from gangplank.core.errors import GangplankError

# What is around the labels of a series. No text in JSON contains this: in a text, quotes are escaped.
_METRIC, _VALUE = '{"metric":{', '},"value":['
# What is after the value of each series but the last.
_NEXT = "]},"

# What the answer of another server raises.
_OTHER = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)


class Labels:
    """The labels of a series, as they may be shown.

    Attributes:
        metric: the name of the metric, or an empty text.
        of_run: those that identify the run, sorted.
        of_sample: those that distinguish the samples of a run.
    """

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.metric = labels.get("__name__", "")
        self.of_sample = {name: value for name, value in labels.items() if name in SAMPLE_LABELS}
        others = labels.keys() - SAMPLE_LABELS - {"__name__"}
        self.of_run = tuple((name, labels[name]) for name in sorted(others))


class Sample(NamedTuple):
    """The newest value of a series."""

    labels: Labels
    value: float


class Samples(NamedTuple):
    """The values of a series at several times, which are Unix time in seconds: times and values."""

    labels: Labels
    points: list[tuple[float, float]]


class Prometheus(Client):
    """The HTTP API of a Prometheus; see `Client`. Its methods raise GangplankError if the server is something else."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._labels = remembering(self._make_labels)

    def query(self, path: str, **parameters: str) -> Any:
        """Return the data in the API's response."""
        return self._data(self._answer(path, **parameters))

    def instant(self, promql: str) -> list[Sample]:
        """Return the newest value of each series."""
        text = self._answer("query", query=promql)
        # Parsing the JSON of a thousand runs, with the labels of the last time, takes several times as long.
        beginning, *series = text.split(_METRIC)
        with contextlib.suppress(*_OTHER):  # it is not as Prometheus writes it, or not all of it
            if series:
                *others, (last, end) = map(self._cut, series)
                # What is around the series is parsed: an answer that was cut off is not taken for a whole one.
                around = json.loads(f'{beginning}{_METRIC}{_VALUE}0,""{end}')["data"]["result"]
                if around == [{"metric": {}, "value": [0, ""]}] and all(after == _NEXT for _, after in others):
                    return [*(sample for sample, _ in others), last]
        try:
            return [
                Sample(self._labels_of(one), float(value))
                for one in self._data(text)["result"]
                for time, value in [one["value"]]
                if math.isfinite(time)
            ]
        except _OTHER:
            raise self.other() from None

    def range(self, promql: str, start: float, end: float, step: float) -> list[Samples]:
        """Return the values of each series between two times, which are Unix time in seconds, at each step."""
        times = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        try:
            return [
                Samples(
                    self._labels_of(one),
                    [(float(time), float(value)) for time, value in one["values"] if math.isfinite(time)],
                )
                for one in self.query("query_range", query=promql, **times)["result"]
            ]
        except _OTHER:
            raise self.other() from None

    def other(self) -> GangplankError:
        """Return the error that this is another server."""
        return GangplankError(f"the server on {self} is not a Prometheus")

    def _answer(self, path: str, **parameters: str) -> str:
        return self.get(f"/api/v1/{path}?{urlencode(parameters)}").text

    def _data(self, text: str) -> Any:
        try:
            return json.loads(text)["data"]
        except (ValueError, LookupError, TypeError, RecursionError):
            raise self.other() from None

    def _cut(self, series: str) -> tuple[Sample, str]:
        """Return a sample, and what is after its value."""
        labels, _, point = series.partition(_VALUE)
        time, value, end = point.split('"', 2)
        if not math.isfinite(float(time.removesuffix(","))):
            raise ValueError
        return Sample(self._labels(labels), float(value)), end

    def _labels_of(self, series: Mapping[str, Any]) -> Labels:
        return self._labels(json.dumps({**series["metric"]})[1:-1])

    def _make_labels(self, pairs: str) -> Labels:
        """Return the labels that are between the braces of an object in JSON."""
        labels: dict[str, Any] = json.loads(f"{{{pairs}}}")
        # JSON may have half a surrogate pair.
        return Labels(
            {name: self.strike(str(value).encode(errors="replace").decode()) for name, value in labels.items()}
        )
