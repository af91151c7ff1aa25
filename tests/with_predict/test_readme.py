"""The commands of examples/predict/README.md, as a newcomer runs them, on other ports."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.reading import value
from support.servers import PATHS, Prometheus, Server, await_ready, find, free_port
from support.serving import EXAMPLES, PREDICT, PROGRAMS

README = (PREDICT / "README.md").read_text()


@dataclass
class Terminal:
    """Runs the lines of the README's blocks in a folder that has the examples."""

    folder: Path
    ports: dict[str, int] = field(default_factory=lambda: {"8000": free_port(), "9090": free_port()})

    def __post_init__(self) -> None:
        (self.folder / "examples").symlink_to(EXAMPLES)
        self.shell = find("sh", generation="old")
        path = os.pathsep.join([str(PROGRAMS), str(Path(find("prometheus", generation="old")).parent), PATHS["old"]])
        self.environment = os.environ | {"PATH": path, "HOME": str(self.folder), "KERAS_BACKEND": "jax"}

    def elsewhere(self, text: str) -> str:
        """Return a command or a configuration with our ports in it."""
        for usual, ours in self.ports.items():
            text = text.replace(f":{usual}", f":{ours}").replace(f"--port {usual}", f"--port {ours}")
        return text

    def run(self, line: str) -> str:
        """Run a command, and return what it printed."""
        if "client.py" in line:
            line += " --url http://127.0.0.1:8000"
        done = subprocess.run(
            [self.shell, "-euc", self.elsewhere(line)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextlib.contextmanager
    def serving(self, line: str) -> Iterator[Prometheus]:
        """Run a server until the block ends."""
        if "gunicorn.conf.py" in line:
            line += " --bind 127.0.0.1:8000"
        usual = "9090" if line.startswith("prometheus") else "8000"
        log = self.folder / "server.log"
        # `exec`: the server itself is what is stopped.
        line = re.sub(r"^((?:\w+=\S+ )*)(.*)", r"\1exec \2", line.replace("$(mktemp -d)", str(self.folder / "metrics")))
        with log.open("wb") as out:
            process = subprocess.Popen(
                [self.shell, "-euc", self.elsewhere(line)],
                cwd=self.folder,
                env=self.environment,
                stdout=out,
                stderr=out,
            )
        server = Prometheus(process, self.ports[usual], log)
        try:
            await_ready(server, "http", "/-/ready" if usual == "9090" else "/metrics")
            yield server
        finally:
            server.stop()


def block(containing: str) -> list[str]:
    """Return the lines of the one block of commands that contains a text."""
    (found,) = [text for text in re.findall(r"```(?:sh|promql)\n(.*?)```", README, re.DOTALL) if containing in text]
    return str(found).splitlines()


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


def total(server: Server) -> float | None:
    return value(server, "gangplank_predict_total", model="digits", version="1")


def test_the_commands_work_one_after_the_other(terminal: Terminal) -> None:
    install, backend, train, serve = block("train.py")
    assert install.startswith("pip install ")
    assert backend == "export KERAS_BACKEND=jax"
    assert "are recognised." in terminal.run(train)

    client, curl = block("curl")
    copy, rules, watch = block("prometheus --config.file")
    again, drop = block("--drop 0")
    with terminal.serving(serve) as server:
        assert terminal.run(client).startswith("Sent 2000 images; ")
        assert 'gangplank_predict_total{model="digits",version="1"} 2000.0' in terminal.run(curl)
        terminal.run(copy)
        config = terminal.folder / "prometheus.yml"
        config.write_text(terminal.elsewhere(config.read_text()).replace("5s", "1s"))
        terminal.run(rules)
        with terminal.serving(watch) as prometheus:
            prometheus.await_query("gangplank_predict_total == 2000")
            terminal.run(again)
            prometheus.await_query("gangplank_predict_total == 4000")
            assert prometheus.query("ALERTS") == []
            terminal.run(drop)
            (alert,) = prometheus.await_query('ALERTS{alertstate="firing"}')
            assert alert[0]["alertname"] == "GangplankDriftDetected"
            for query in block("histogram_quantile"):
                assert prometheus.await_query(query), query
        assert total(server) == 6_000

    (workers,) = block("gunicorn --config")
    (terminal.folder / "metrics").mkdir()
    with terminal.serving(workers) as server:
        terminal.run(client)
        assert total(server) == 2_000
