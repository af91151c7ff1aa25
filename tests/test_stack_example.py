"""examples/stack: started and stopped with real servers, and its files as their own programs check them."""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

import gangplank
from gangplank.monitoring import rules
from support.reading import eventually
from support.servers import Generation, find, free_port, get

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
STACK = EXAMPLES / "stack"
# All that the scripts may need besides the servers. Nothing else is on PATH, so no docker of this machine is used.
TOOLS = [
    "chmod",
    "cp",
    "curl",
    "dirname",
    "mkdir",
    "nohup",
    "ps",
    "readlink",
    "rm",
    "sed",
    "sh",
    "sleep",
    "tail",
    "touch",
]
PORTS = ("PROMETHEUS_PORT", "PUSHGATEWAY_PORT", "ALERTMANAGER_PORT", "GRAFANA_PORT")
GANGPLANK = f"""#!/bin/sh
exec "{sys.executable}" -m gangplank "$@"
"""
# It notes every call, and says that each container is running.
DOCKER = """#!/bin/sh
echo "$*" >>"$NOTES"
case "$*" in *" ps "*) echo 1234 ;; esac
"""


class Stack:
    """A copy of the examples, with a home, a PATH and ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.examples = folder / "exämples of mine"
        self.programs = folder / "bin"
        self.notes = folder / "notes"
        self.state = folder / "state" / "gangplank" / "stack"
        self.ports = {name: free_port() for name in PORTS}
        self.env = {
            "PATH": str(self.programs),
            "HOME": str(folder),
            "XDG_STATE_HOME": str(folder / "state"),
            "NOTES": str(self.notes),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            **{name: str(port) for name, port in self.ports.items()},
        }
        shutil.copytree(EXAMPLES, self.examples, ignore=shutil.ignore_patterns("generated"))
        self.programs.mkdir()
        for tool in TOOLS:
            (self.programs / tool).symlink_to(str(shutil.which(tool)))
        self.program("gangplank", GANGPLANK)

    def program(self, name: str, text: str) -> None:
        """Put a stand-in on PATH."""
        (self.programs / name).write_text(text)
        (self.programs / name).chmod(0o755)

    def native(self) -> None:
        """Put the real servers on PATH."""
        for name in ("prometheus", "prometheus-pushgateway", "prometheus-alertmanager"):
            (self.programs / name).symlink_to(find(name, name.removeprefix("prometheus-")))

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.examples / "stack" / script)]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60, check=False)

    def succeeds(self, script: str) -> str:
        done = self.run(script)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    def fails(self, script: str) -> str:
        done = self.run(script)
        assert done.returncode == 1, done
        return done.stderr

    def asked(self, port: str, path: str) -> Any:
        """Return what a server answers."""
        return json.loads(get(f"http://127.0.0.1:{self.ports[port]}{path}"))["data"]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack that is stopped at the end."""
    made = Stack(tmp_path)
    yield made
    made.run("stop.sh")
    assert not list(made.state.glob("*.pid"))


def test_the_native_servers_find_each_other_and_tell_of_a_run_that_fails(stack: Stack) -> None:
    stack.native()
    config = stack.examples / "stack" / "prometheus.yml"
    config.write_text(config.read_text().replace("15s", "1s"))
    told = stack.succeeds("start.sh")
    assert all(f"http://127.0.0.1:{port}" in told for name, port in stack.ports.items() if name != "GRAFANA_PORT")
    assert "import the dashboards" in told

    gateway, alertmanager = stack.ports["PUSHGATEWAY_PORT"], stack.ports["ALERTMANAGER_PORT"]
    scraped = eventually(lambda: stack.asked("PROMETHEUS_PORT", "/api/v1/targets")["activeTargets"], timeout=30)
    assert [target["scrapeUrl"] for target in scraped] == [f"http://127.0.0.1:{gateway}/metrics"]
    told_to = eventually(
        lambda: stack.asked("PROMETHEUS_PORT", "/api/v1/alertmanagers")["activeAlertmanagers"], timeout=30
    )
    assert [each["url"] for each in told_to] == [f"http://127.0.0.1:{alertmanager}/api/v2/alerts"]
    groups = stack.asked("PROMETHEUS_PORT", "/api/v1/rules")["groups"]
    assert {group["name"] for group in groups} == {group["name"] for group in yaml.safe_load(rules())["groups"]}
    dashboards = (stack.examples / "stack" / "generated" / "dashboards").iterdir()
    assert {path.name for path in dashboards} == {"gangplank-fleet.json", "gangplank-run.json"}

    with suppress(RuntimeError), gangplank.run(f"127.0.0.1:{gateway}", "fails") as run:
        run.record({"loss": 1.0})
        raise RuntimeError("out of memory")
    url = f"http://127.0.0.1:{alertmanager}/api/v2/alerts"
    (alert,) = eventually(lambda: json.loads(get(url)), timeout=30)
    assert (alert["labels"]["alertname"], alert["labels"]["job"]) == ("GangplankRunFailed", "fails")
    assert [receiver["name"] for receiver in alert["receivers"]] == ["on-call"]

    assert "Already running" in stack.succeeds("start.sh")
    assert stack.succeeds("stop.sh") == "Stopped: prometheus alertmanager pushgateway\n"
    assert not stack.state.exists()
    assert stack.succeeds("stop.sh") == "Nothing to stop.\n"


def test_what_is_missing_is_named_and_what_fails_shows_its_log(stack: Stack) -> None:
    packages = "prometheus prometheus-pushgateway prometheus-alertmanager"
    assert stack.fails("start.sh").endswith(f"apt install {packages}\n")
    stack.native()
    (stack.programs / "prometheus-alertmanager").unlink()
    stack.program("prometheus-alertmanager", "#!/bin/sh\necho no good today\nexit 3\n")
    complaint = stack.fails("start.sh")
    assert "alertmanager did not start" in complaint
    assert "no good today" in complaint
    assert not stack.state.exists(), "the others are stopped"
    (stack.programs / "gangplank").unlink()
    assert "gangplank is not on PATH" in stack.fails("start.sh")


class Ready(http.server.BaseHTTPRequestHandler):
    """A server that is ready."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_where_docker_answers_compose_starts_and_stops_them(stack: Stack) -> None:
    stack.program("docker", DOCKER)
    with ExitStack() as until:
        for port in stack.ports.values():
            server = until.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", port), Ready))
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
            until.callback(server.shutdown)
        told = stack.succeeds("start.sh")
    assert f"http://127.0.0.1:{stack.ports['GRAFANA_PORT']}\n" in told
    file = stack.examples / "stack" / "compose.yaml"
    assert f"compose --file {file} up --detach" in stack.notes.read_text()
    assert f"compose --file {file} exec -T prometheus kill -HUP 1" in stack.notes.read_text()
    assert (stack.examples / "stack" / "generated" / "rules" / "gangplank.yml").stat().st_mode & 0o777 == 0o644
    assert stack.succeeds("stop.sh") == "Stopped: the containers\n"
    assert f"compose --file {file} down --volumes" in stack.notes.read_text()


@pytest.fixture(params=["old", "new"])
def generation(request: pytest.FixtureRequest) -> Generation:
    found: Generation = request.param
    return found


def checked(*command: str) -> str:
    """Return what a program says of a file that it must accept."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_and_amtool_accept_the_configuration(tmp_path: Path, generation: Generation) -> None:
    shutil.copy(STACK / "prometheus.yml", tmp_path)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "gangplank.yml").write_text(rules())
    promtool = find("promtool", generation=generation)
    assert "1 rule files found" in checked(promtool, "check", "config", str(tmp_path / "prometheus.yml"))
    amtool = find("amtool", generation=generation)
    told = checked(amtool, "check-config", str(STACK / "alertmanager.yml"))
    assert "2 receivers" in told
    assert "1 inhibit rules" in told
    for severity, receiver in {"critical": "on-call", "warning": "team"}.items():
        route = checked(
            amtool, "config", "routes", "test", f"--config.file={STACK / 'alertmanager.yml'}", f"severity={severity}"
        )
        assert route.splitlines()[0] == receiver


def loaded(path: str) -> Any:
    """Return what a YAML file of the stack contains."""
    return yaml.safe_load((STACK / path).read_text())


COMPOSE: dict[str, dict[str, Any]] = loaded("compose.yaml")["services"]


@pytest.mark.parametrize("name", COMPOSE)
def test_a_service_is_pinned_local_and_has_its_files(name: str) -> None:
    service = COMPOSE[name]
    assert re.fullmatch(r"(prom|grafana)/[a-z]+:v?\d+\.\d+\.\d+", service["image"])
    assert all(port.startswith("127.0.0.1:${") for port in service["ports"])
    volumes = loaded("compose.yaml")["volumes"]
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if not source.startswith("./generated/"):
            assert (STACK / source).exists() if source.startswith("./") else source in volumes


def test_the_services_find_their_files_and_each_other() -> None:
    assert {f"{name.upper()}_PORT" for name in COMPOSE} == set(PORTS)
    ports = {name: service["ports"][0].rpartition(":")[2] for name, service in COMPOSE.items()}
    prometheus, (provider,) = loaded("prometheus.yml"), loaded("grafana/dashboards/gangplank.yaml")["providers"]
    named = [
        *prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"],
        *prometheus["scrape_configs"][0]["static_configs"][0]["targets"],
        *(
            source["url"].removeprefix("http://")
            for source in loaded("grafana/datasources/prometheus.yaml")["datasources"]
        ),
    ]
    assert {address.split(":")[0] for address in named} == COMPOSE.keys() - {"grafana"}
    assert all(ports[name] == port for name, port in (address.split(":") for address in named))

    inside = {name: dict(each.split(":")[:2][::-1] for each in one.get("volumes", [])) for name, one in COMPOSE.items()}
    for name in ("prometheus", "alertmanager"):
        assert f"--config.file=/etc/{name}/{name}.yml" in COMPOSE[name]["command"]
        assert inside[name][f"/etc/{name}/{name}.yml"] == f"./{name}.yml"
    assert inside["prometheus"]["/etc/prometheus/rules"] == "./generated/rules"
    assert prometheus["rule_files"] == ["rules/*.yml"]
    assert inside["grafana"][provider["options"]["path"]] == "./generated/dashboards"
    assert inside["grafana"]["/etc/grafana/provisioning/datasources"] == "./grafana/datasources"
