"""A Prometheus, read through its HTTP API."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from gangplank.cli.remote.client import Client
from gangplank.core.errors import GangplankError


class Samples(NamedTuple):
    """A series of an answer: its labels, `__name__` included if it has one, and its times and values."""

    labels: Mapping[str, str]
    points: list[tuple[float, float]]


class Prometheus(Client):
    """The HTTP API of a Prometheus; see `Client`. Its methods raise GangplankError if the server is something else."""

    def query(self, path: str, **parameters: str) -> Any:
        """Return the data in the API's response."""
        text = self.get(f"/api/v1/{path}?{urlencode(parameters)}").text
        try:
            return json.loads(text)["data"]
        except (ValueError, LookupError, TypeError, RecursionError):
            raise self.other() from None

    def other(self) -> GangplankError:
        """Return the error that this is another server."""
        return GangplankError(f"the server on {self} is not a Prometheus")

    def instant(self, promql: str) -> list[Samples]:
        """Return the newest value of each series."""
        return self._samples(self.query("query", query=promql), "value")

    def range(self, promql: str, start: float, end: float, step: float) -> list[Samples]:
        """Return the values of each series between two times, which are Unix time in seconds, at each step."""
        times = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        return self._samples(self.query("query_range", query=promql, **times), "values")

    def _samples(self, data: Any, kind: str) -> list[Samples]:

        @functools.cache
        def shown(value: str) -> str:
            return self.strike(value.encode(errors="replace").decode())  # JSON may have half a surrogate pair

        try:
            return [
                Samples(
                    {str(name): shown(str(value)) for name, value in series["metric"].items()},
                    [
                        (float(time), float(value))
                        for time, value in (series[kind] if kind == "values" else [series[kind]])
                        if math.isfinite(time)
                    ],
                )
                for series in data["result"]
            ]
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
            raise self.other() from None
