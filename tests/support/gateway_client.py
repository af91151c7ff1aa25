"""A client of a gateway, embedded or real."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.servers import Generation, Server, find, pushgateway, version_of

JOB = "/metrics/job/a"
OWN = re.compile(r"# (HELP|TYPE) (go|process|push|pushgateway)_")
GENERATIONS: list[Generation] = ["old", "new"]
STAMP = re.compile(r"(push_time_seconds|push_failure_time_seconds)(\{.*\}) (.*)")


@dataclass
class Client:
    """Talks to a gateway over one connection, and knows what it pushed."""

    address: str
    touched: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection(self.address, timeout=10)

    def send(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> tuple[int, str]:
        """Send a request; return the status and the text."""
        if method in ("PUT", "POST"):
            self.touched.add(path)
        self.connection.request(method, path, body, headers or {})
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode()

    def put(self, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> int:
        """PUT; return the status."""
        return self.send("PUT", path, body, headers)[0]

    def post(self, path: str, body: bytes = b"") -> int:
        """POST; return the status."""
        return self.send("POST", path, body)[0]

    def delete(self, path: str) -> None:
        """DELETE, and wait: the real gateway deletes behind its answer, though before the next push."""
        assert self.send("DELETE", path)[0] == 202
        assert self.put("/metrics/job/last") == 200

    def lines(self) -> list[str]:
        """Return the lines of the page."""
        status, text = self.send("GET", "/metrics")
        assert status == 200, text
        return text.split("\n")[:-1]

    def page(self) -> list[str]:
        """Return the lines about what was pushed, without the times; `instance="",job="a"` goes without saying."""
        return sorted(
            line.replace('{instance="",job="a"}', "").replace('{instance="",job="a",', "{")
            for line in self.lines()
            if ("job=" in line and not STAMP.fullmatch(line)) or (line.startswith("#") and not OWN.match(line))
        )

    def times(self) -> dict[str, tuple[float, float]]:
        """Return the push time and the failure time of each group, by its labels as they are on the page."""
        times: dict[str, dict[str, float]] = {}
        for line in self.lines():
            if match := STAMP.fullmatch(line):
                times.setdefault(match[2], {})[match[1]] = float(match[3])
        return {
            labels: (of["push_time_seconds"], of["push_failure_time_seconds"])
            for labels, of in times.items()
            if 'job="last"' not in labels
        }

    def wipe(self) -> None:
        """Leave nothing behind."""
        for path in self.touched:
            self.send("DELETE", path)
        self.put("/metrics/job/last")
        assert not self.page()
        assert not self.times()
        self.touched.clear()


def of_known_version(folder: Path, generation: Generation) -> AbstractContextManager[Server]:
    """Return a real gateway of the versions that the corpus knows: what others make of odd requests is their affair."""
    known = {"old": "1.5.", "new": "1.11."}[generation]
    if not version_of(find("prometheus-pushgateway", "pushgateway", generation=generation)).startswith(known):
        pytest.skip(f"needs Pushgateway {known}x")
    return pushgateway(folder, generation=generation)


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """Lend a client."""
    client = Client(address)
    with closing(client.connection):
        yield client


def talk(address: str, request: bytes, *, more: bool = False) -> bytes:
    """Send bytes, say no more unless there is more to come, and return what comes back until the gateway hangs up."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host.strip("[]"), int(port)), timeout=10) as connection:
        connection.sendall(request)
        if not more:
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))
