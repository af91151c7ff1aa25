"""The real servers the tests talk to: Debian's Pushgateway, Prometheus, Alertmanager and node_exporter, on loopback.

There are two generations of them, which tests/install-servers unpacks: Debian 12's, and with `SERVERS=new` in the
environment that of Debian's testing suite. The newer ones move, and may not start on this machine: then their tests are
skipped, in CI too, where none of Debian 12's may be missing.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import pytest

Generation = Literal["old", "new", "debian13"]
# Which one the tests talk to that do not say.
GENERATION: Generation = "new" if os.environ.get("SERVERS") == "new" else "old"

# A web configuration in which the password of `me` is "canary", by its bcrypt hash.
USERS = "basic_auth_users: {me: $2b$04$oYMHmYwvhvck4h3jr0/Bcucp.F3vOFz2814i17MFR/Iiv49H82kKK}\n"
# A host name that no test may resolve for real.
UNRESOLVED = "gateway.invalid"

# Where tests/install-servers unpacks Debian's packages: the old ones only where PATH has none.
_UNPACKED = Path(__file__).resolve().parents[2] / ".servers"
PATHS = {
    "old": os.pathsep.join([os.environ.get("PATH", os.defpath), str(_UNPACKED / "usr" / "bin")]),
    "new": str(_UNPACKED / "new" / "usr" / "bin"),
    "debian13": str(_UNPACKED / "debian13" / "usr" / "bin"),
}


def find(*names: str, generation: Generation = GENERATION) -> str:
    """Return the path of the first program of these names, or skip the test (see the module for CI)."""
    for name in names:
        path = shutil.which(name, path=PATHS[generation])
        if path and (generation == "old" or _starts(path)):
            return path
    reason = f"needs {names[0]}"
    if generation != "old":
        pytest.skip(f"{reason} ({generation})")
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, which CI must have", pytrace=False)
    pytest.skip(reason)


@functools.cache
def _starts(program: str) -> bool:
    """Whether a program made for a later system works on this one."""
    try:
        return subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def version_of(program: str) -> str:
    """Return the version that a server's program says it has."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"version (\d+\.\d+\.\d+)", said.stdout + said.stderr)
    return found[1] if found else ""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def get(url: str, timeout: float = 10) -> str:
    """Return the text that a loopback URL answers with, past any proxy."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=timeout) as answer:
        text: str = answer.read().decode()
        return text


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def address(self) -> str:
        """`host:port`, as a user would write it."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The root URL."""
        return f"http://{self.address}"

    def freeze(self) -> None:
        """Stop answering, as a hung server does."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Answer again."""
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def metrics(self) -> str:
        """Return the whole text of `/metrics`."""
        return get(f"{self.url}/metrics")


@contextlib.contextmanager
def running(
    command: Sequence[str],
    port: int,
    log: Path,
    *,
    scheme: str = "http",
    ready: str = "/-/ready",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run a server, in a folder, until the block ends; enters once it is ready, and answers at that path."""
    env = os.environ | (environment or {})
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=folder, env=env)
    server = Server(process, port, log)
    try:
        await_ready(server, scheme, ready)
        yield server
    finally:
        server.stop()


def await_ready(server: Server, scheme: str, path: str) -> None:
    """Wait until the server answers at a path; over TLS, until it listens."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if server.process.poll() is not None:
            break
        try:
            if scheme == "https":
                socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
            else:
                get(f"{server.url}{path}")
        except (OSError, urllib.error.URLError):
            time.sleep(0.005)
        else:
            return
    message = f"{server.process.args!r} did not get ready:\n{server.log.read_text()}"
    raise AssertionError(message)


@contextlib.contextmanager
def pushgateway(
    folder: Path,
    *options: str,
    port: int | None = None,
    config: str | None = None,
    generation: Generation = GENERATION,
) -> Iterator[Server]:
    """Run a real Pushgateway that keeps nothing on disk.

    Args:
        folder: for its log and its configuration.
        options: of the command line.
        port: to listen on; by default a free one.
        config: of TLS and of the users; with it, a request without credentials is no sign that the gateway is ready.
        generation: of the servers.
    """
    binary = find("prometheus-pushgateway", "pushgateway", generation=generation)
    if config is not None:
        (folder / "web.yml").write_text(config)
        options = (*options, f"--web.config.file={folder / 'web.yml'}")
    port = port or free_port()
    command = [binary, f"--web.listen-address=127.0.0.1:{port}", "--persistence.file=", *options]
    scheme = "http" if config is None else "https"
    with running(command, port, folder / f"pushgateway-{port}.log", scheme=scheme) as server:
        yield server


@contextlib.contextmanager
def node_exporter(folder: Path, log: Path) -> Iterator[Server]:
    """Run a real node_exporter that shows the `.prom` files in a folder, and nothing of the machine."""
    binary = find("prometheus-node-exporter", "node_exporter")
    port = free_port()
    command = [
        binary,
        f"--web.listen-address=127.0.0.1:{port}",
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={folder}",
    ]
    with running(command, port, log, ready="/") as server:
        yield server


class Prometheus(Server):
    """A running Prometheus."""

    def query(self, promql: str) -> list[tuple[dict[str, str], float]]:
        """Return the samples of an instant query: labels and value."""
        answer = get(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': promql})}")
        result = json.loads(answer)["data"]["result"]
        return [(sample["metric"], float(sample["value"][1])) for sample in result]

    def await_query(self, promql: str, timeout: float = 30) -> list[tuple[dict[str, str], float]]:
        """Return the samples of an instant query, once there are any."""
        end = time.monotonic() + timeout
        while not (samples := self.query(promql)):
            assert time.monotonic() < end, f"no answer to {promql}"
            time.sleep(0.05)
        return samples


@contextlib.contextmanager
def prometheus(
    folder: Path,
    target: str,
    *options: str,
    job: str = "pushgateway",
    honor_labels: bool = True,
    rules: str = "",
    alerts_to: str = "",
    each: str = "250ms",
    rules_each: str = "1s",
    labels: Mapping[str, str] = MappingProxyType({}),
    generation: Generation = GENERATION,
) -> Iterator[Prometheus]:
    """Run a real Prometheus that scrapes a gateway, or whatever the targets are (`a,b`).

    Args:
        folder: for its log, its configuration and its data.
        target: `host:port`.
        options: of the command line.
        job: that scrapes the target.
        honor_labels: of this job.
        rules: the text of a rule file.
        alerts_to: `host:port` of an Alertmanager.
        each: how often it scrapes.
        rules_each: how often it evaluates the rules.
        labels: of the targets, as Prometheus' operator adds those of a pod.
        generation: of the servers.
    """
    binary = find("prometheus", generation=generation)
    port = free_port()
    config = folder / "prometheus.yml"
    honor = str(honor_labels).lower()
    (folder / "rules.yml").write_text(rules)
    config.write_text(
        f"global: {{scrape_interval: {each}, scrape_timeout: {each}, evaluation_interval: {rules_each}}}\n"
        "rule_files: [rules.yml]\n"
        f"alerting: {{alertmanagers: [{{static_configs: [{{targets: [{alerts_to}]}}]}}]}}\n"
        "scrape_configs:\n"
        f"- {{job_name: {job}, honor_labels: {honor}, "
        f"static_configs: [{{targets: [{target}], labels: {json.dumps(dict(labels))}}}]}}\n",
    )
    command = [
        binary,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        *options,
    ]
    with running(command, port, folder / "prometheus.log") as server:
        yield Prometheus(server.process, server.port, server.log)


@contextlib.contextmanager
def alertmanager(folder: Path, webhook: str, *, generation: Generation = GENERATION) -> Iterator[Server]:
    """Run a real Alertmanager that posts each alert to a URL, at once and alone."""
    binary = find("prometheus-alertmanager", "alertmanager", generation=generation)
    port = free_port()
    config = folder / "alertmanager.yml"
    config.write_text(
        "route: {receiver: test, group_by: [...], group_wait: 0s}\n"
        f"receivers: [{{name: test, webhook_configs: [{{url: '{webhook}', send_resolved: false}}]}}]\n"
    )
    command = [
        binary,
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with running(command, port, folder / "alertmanager.log") as server:
        yield server
