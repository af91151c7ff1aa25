"""The examples, run as their README says: the scripts with real servers, the training against a real gateway."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.servers import find, free_port, get, pushgateway

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
# All that the scripts may need besides the servers. Nothing else is on PATH, so no docker of this machine is used.
TOOLS = ["cat", "chmod", "curl", "dirname", "mkdir", "nohup", "ps", "rm", "sed", "sh", "sleep", "tail", "touch", "wc"]


def listens(port: int) -> bool:
    """Say whether anything listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# --- start_prometheus.sh and stop_prometheus.sh -----------------------------------------------------------------------


@dataclass
class Stack:
    """The two scripts, with a home, a PATH and ports of their own."""

    folder: Path
    prometheus_port: int = field(default_factory=free_port)
    gateway_port: int = field(default_factory=free_port)
    shell: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.programs = self.folder / "bin"
        self.home = self.folder / "hömé of mine"
        self.state = self.home / "state" / "gangplank" / "examples"
        nobody = f"http://127.0.0.1:{free_port()}"  # a proxy that would break every loopback check that used it
        self.env = {
            "PATH": str(self.programs),
            "HOME": str(self.home),
            "TMPDIR": str(self.home),
            "XDG_STATE_HOME": str(self.home / "state"),
            "PROMETHEUS_PORT": str(self.prometheus_port),
            "PUSHGATEWAY_PORT": str(self.gateway_port),
            "http_proxy": nobody,
            "all_proxy": nobody,
        }
        self.programs.mkdir()
        self.home.mkdir()
        for tool in TOOLS:
            path = shutil.which(tool)
            assert path, tool
            (self.programs / tool).symlink_to(path)

    def native(self) -> Stack:
        """Put the real servers on PATH."""
        (self.programs / "prometheus").symlink_to(find("prometheus"))
        (self.programs / "prometheus-pushgateway").symlink_to(find("prometheus-pushgateway", "pushgateway"))
        return self

    def program(self, name: str, text: str) -> None:
        """Put a stand-in on PATH, in the place of whatever has its name."""
        path = self.programs / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        command = [*self.shell, str(EXAMPLES / script)]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60, check=False)

    def start(self) -> subprocess.CompletedProcess[str]:
        return self.run("start_prometheus.sh")

    def stop(self) -> subprocess.CompletedProcess[str]:
        return self.run("stop_prometheus.sh")

    def listening(self) -> list[bool]:
        return [listens(self.prometheus_port), listens(self.gateway_port)]


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a script said, which went well and complained about nothing."""
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def failed(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a script complained about, which failed."""
    assert done.returncode == 1, done
    return done.stderr


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """The scripts with nothing on PATH that could serve; whatever a test started ends with it."""
    made = Stack(tmp_path)
    yield made
    made.stop()
    assert made.listening() == [False, False], "stop_prometheus.sh left something running"


def test_native_servers_start_scrape_what_is_pushed_and_stop(stack: Stack) -> None:
    stack.native()
    said = succeeded(stack.start())
    assert f"http://127.0.0.1:{stack.prometheus_port}\n" in said
    assert f"http://127.0.0.1:{stack.gateway_port}\n" in said
    assert "prometheus_build_info" in get(f"http://127.0.0.1:{stack.prometheus_port}/metrics")
    assert "pushgateway_build_info" in get(f"http://127.0.0.1:{stack.gateway_port}/metrics")

    url = f"http://127.0.0.1:{stack.gateway_port}/metrics/job/mnist/phase/train"
    push = urllib.request.Request(url, data=b"pushed 42\n", method="PUT")
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(push, timeout=10).close()
    pids = {path.name: path.read_text() for path in stack.state.glob("*.pid")}
    assert set(pids) == {"prometheus.pid", "pushgateway.pid"}

    assert "Already running" in succeeded(stack.start())
    assert {path.name: path.read_text() for path in stack.state.glob("*.pid")} == pids
    assert 'pushed{instance="",job="mnist",phase="train"} 42' in get(f"http://127.0.0.1:{stack.gateway_port}/metrics")

    end = time.monotonic() + 30
    while not (
        found := json.loads(get(f"http://127.0.0.1:{stack.prometheus_port}/api/v1/query?query=pushed"))["data"][
            "result"
        ]
    ):
        assert time.monotonic() < end, "Prometheus has not scraped what was pushed"
        time.sleep(0.05)
    assert found[0]["value"][1] == "42"
    assert (found[0]["metric"]["job"], found[0]["metric"]["phase"]) == ("mnist", "train"), "honor_labels"

    assert succeeded(stack.stop()) == "Stopped: prometheus pushgateway\n"
    assert stack.listening() == [False, False]
    assert not stack.state.exists()
    assert [path.name for path in stack.home.rglob("*") if path.is_file()] == [], "left outside the state folder"
    assert succeeded(stack.stop()) == "Nothing to stop.\n"

    succeeded(stack.start())
    assert "pushed{" not in get(f"http://127.0.0.1:{stack.gateway_port}/metrics"), "a new gateway starts empty"


def test_the_ports_are_9090_and_9091_and_the_state_is_below_home(tmp_path: Path) -> None:
    if listens(9090) or listens(9091):
        pytest.skip("something else listens on port 9090 or 9091")
    stack = Stack(tmp_path, 9090, 9091).native()
    if bash := shutil.which("bash"):
        stack.shell = (bash, "--posix")  # as macOS' /bin/sh is
    for name in ("PROMETHEUS_PORT", "PUSHGATEWAY_PORT", "XDG_STATE_HOME"):
        del stack.env[name]
    try:
        succeeded(stack.start())
        assert "prometheus_build_info" in get("http://127.0.0.1:9090/metrics")
        assert "pushgateway_build_info" in get("http://127.0.0.1:9091/metrics")
        assert (stack.home / ".local/state/gangplank/examples/prometheus.pid").exists()
    finally:
        assert succeeded(stack.stop()) == "Stopped: prometheus pushgateway\n"
    assert stack.listening() == [False, False]


def test_a_docker_client_without_an_engine_is_passed_over(stack: Stack) -> None:
    stack.native().program("docker", "#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n")
    assert "as programs" in succeeded(stack.start())
    assert succeeded(stack.stop()) == "Stopped: prometheus pushgateway\n"


def test_a_docker_client_that_hangs_is_given_up(stack: Stack) -> None:
    stack.program("docker", "#!/bin/sh\nexec sleep 600\n")
    began = time.monotonic()
    assert "No Docker engine answers" in failed(stack.start())
    assert time.monotonic() - began < 20
    stack.program("docker", "#!/bin/sh\nexit 1\n")


def test_with_neither_engine_nor_programs_it_says_what_to_install(stack: Stack) -> None:
    complaint = failed(stack.start())
    assert "No Docker engine answers" in complaint
    assert "apt install prometheus prometheus-pushgateway" in complaint
    stack.native().programs.joinpath("prometheus").unlink()
    assert failed(stack.start()).endswith("apt install prometheus\n")


def test_without_curl_it_says_so(stack: Stack) -> None:
    stack.native().programs.joinpath("curl").unlink()
    assert "needs curl" in failed(stack.start())


@pytest.mark.parametrize("which", ["prometheus_port", "gateway_port"])
def test_a_taken_port_is_named_and_nothing_is_started(stack: Stack, which: str) -> None:
    stack.native()
    with socket.create_server(("127.0.0.1", 0)) as taken:  # listens, and never answers
        port = taken.getsockname()[1]
        stack.env["PROMETHEUS_PORT" if which == "prometheus_port" else "PUSHGATEWAY_PORT"] = str(port)
        assert f"Something else listens on: 127.0.0.1:{port}." in failed(stack.start())
    assert stack.listening() == [False, False]
    assert not stack.state.exists()


@pytest.mark.parametrize("broken", ["prometheus", "prometheus-pushgateway"])
def test_when_one_fails_its_log_is_shown_and_the_other_is_stopped(stack: Stack, broken: str) -> None:
    stack.native().program(broken, "#!/bin/sh\necho no good today\nexit 3\n")
    complaint = failed(stack.start())
    assert f"{broken.removeprefix('prometheus-')} did not start" in complaint
    assert "no good today" in complaint
    assert stack.listening() == [False, False]
    assert not stack.state.exists()


def test_a_start_that_is_interrupted_stops_what_it_started(stack: Stack) -> None:
    stack.native().program("prometheus-pushgateway", f"#!{sys.executable}\nimport signal\nsignal.pause()\n")
    with subprocess.Popen([EXAMPLES / "start_prometheus.sh"], env=stack.env) as start:
        end = time.monotonic() + 30
        while not listens(stack.prometheus_port):
            assert time.monotonic() < end
            time.sleep(0.01)
        pid = int((stack.state / "pushgateway.pid").read_text().split()[0])
        assert "prometheus-pushgateway" in command_line(pid)
        start.send_signal(signal.SIGTERM)
    assert start.returncode == 130
    assert stack.listening() == [False, False]
    assert "prometheus-pushgateway" not in command_line(pid)
    assert not stack.state.exists()


def command_line(pid: int) -> str:
    """Return how a process was started; nothing once it has ended."""
    ps = [find("ps", generation="old"), "-ww", "-o", "args=", "-p", str(pid)]
    return subprocess.run(ps, capture_output=True, text=True, check=False).stdout


def kill(pid: int, port: int) -> None:
    """End a process that listens on a port, as a crash would."""
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 30
    while listens(port) or "127.0.0.1" in command_line(pid):
        assert time.monotonic() < end, f"{pid} survived"
        time.sleep(0.01)


def test_half_of_it_running_is_not_taken_for_a_running_stack(stack: Stack) -> None:
    succeeded(stack.native().start())
    kill(int((stack.state / "pushgateway.pid").read_text().split()[0]), stack.gateway_port)
    with pushgateway(stack.folder, port=stack.gateway_port):  # another one that answers is not ours either
        assert "stop_prometheus.sh, then start again" in failed(stack.start())
    assert "stop_prometheus.sh, then start again" in failed(stack.start())
    assert succeeded(stack.stop()) == "Stopped: prometheus\n"
    succeeded(stack.start())


SLOW_TO_END = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import http.server, signal, sys, time

class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

def end(*_):
    time.sleep(0.5)
    sys.exit()

signal.signal(signal.SIGTERM, end)
host, port = sys.argv[1].removeprefix("--web.listen-address=").split(":")
http.server.HTTPServer((host, int(port)), Ready).serve_forever()
"""


def test_stop_returns_when_they_have_ended(stack: Stack) -> None:
    stack.native().program("prometheus-pushgateway", SLOW_TO_END.format(python=sys.executable))
    succeeded(stack.start())
    succeeded(stack.stop())
    assert stack.listening() == [False, False]


def test_a_process_that_got_the_number_of_ours_is_left_alone(stack: Stack) -> None:
    stack.state.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        (stack.state / "prometheus.pid").write_text(f"{stranger.pid} 127.0.0.1:{stack.prometheus_port}\n")
        assert succeeded(stack.stop()) == "Nothing to stop.\n"
        assert stranger.poll() is None
        assert not stack.state.exists()
        stranger.communicate(b"\n")
    assert stranger.returncode == 0


# A Docker engine that is only a folder: a container is a file with its label and its published port, and serves the
# pages of the folder `www`. It notes every call.
DOCKER = """#!/bin/sh
set -eu
cd "{engine}"
echo "$*" >>calls
command=$1; shift
case $command in
version) ;;
network)
    case $1 in
    inspect) [ -e network ] ;;
    create) echo "$4" >network ;;
    ls) [ ! -e network ] || cat network ;;
    rm) rm network ;;
    esac ;;
create)
    while [ $# -gt 1 ]; do
        case $1 in
        --name) name=$2 ;;
        --label) label=$2 ;;
        --publish) port=${{2%:*}} ;;
        esac
        shift
    done
    if [ -e "containers/$name" ]; then echo "Conflict: the name /$name is in use" >&2; exit 1; fi
    echo "$label ${{port#*:}}" >"containers/$name" ;;
cp) cat "$1" >"$(echo "$2" | sed s,[:/],_,g)" ;;
start)
    for name; do
        read -r label port <"containers/$name"
        [ ! -e "broken-$name" ] || continue
        "{python}" -m http.server "$port" --bind 127.0.0.1 --directory www </dev/null >/dev/null 2>&1 &
        echo $! >"running/$name"
    done ;;
ps)
    case "$*" in *--all*) folder=containers ;; *) folder=running ;; esac
    for file in "$folder"/*; do
        name=${{file#*/}}
        [ -e "$file" ] || continue
        read -r label port <"containers/$name"
        case "$*" in *--filter\\ label=$label*) echo "$name" ;; esac
    done ;;
inspect) [ -e "running/$3" ] && echo true || echo false ;;
logs) echo "the log of $3" ;;
rm)
    if [ -e "running/$3" ]; then
        pid=$(cat "running/$3")
        kill "$pid"
        while case $(ps -ww -o args= -p "$pid") in *http.server*) ;; *) false ;; esac do sleep 0.01; done
    fi
    rm -f "running/$3" "containers/$3" ;;
*) echo "docker: what is $command?" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def engine(stack: Stack) -> Path:
    """A Docker engine that answers, and the folder of its containers and calls."""
    engine = stack.folder / "engine"
    for folder in ("containers", "running", "www/-"):
        (engine / folder).mkdir(parents=True)
    (engine / "www/-/ready").touch()
    stack.program("docker", DOCKER.format(engine=engine, python=sys.executable))
    return engine


def test_where_an_engine_answers_they_are_containers(stack: Stack, engine: Path) -> None:
    said = succeeded(stack.native().start())  # the programs on PATH are not used
    assert "in the containers prometheus and pgw" in said
    calls = (engine / "calls").read_text()
    created = re.findall(r"^create --name (\S+) .*--publish (\S+) (\S+)$", calls, re.MULTILINE)
    assert created == [
        ("pgw", f"127.0.0.1:{stack.gateway_port}:9091", "prom/pushgateway"),
        ("prometheus", f"127.0.0.1:{stack.prometheus_port}:9090", "prom/prometheus"),
    ]
    assert len(re.findall("^create .*--network gangplank-example ", calls, re.MULTILINE)) == 2
    config = engine / "prometheus__etc_prometheus_prometheus.yml"
    assert 'targets: ["pgw:9091"]' in config.read_text()
    assert "honor_labels: true" in config.read_text()

    assert "Already running" in succeeded(stack.start())
    assert len(re.findall("^create ", (engine / "calls").read_text(), re.MULTILINE)) == 2

    assert succeeded(stack.stop()) == "Stopped: pgw prometheus\n"
    assert stack.listening() == [False, False]
    assert list((engine / "containers").iterdir()) == []
    assert not (engine / "network").exists()
    assert not stack.state.exists()
    assert succeeded(stack.stop()) == "Nothing to stop.\n"


def test_a_container_of_the_same_name_that_is_not_ours_stays(stack: Stack, engine: Path) -> None:
    theirs = engine / "containers" / "prometheus"
    theirs.write_text("theirs 1\n")
    assert "Conflict" in failed(stack.start())
    assert [path.name for path in (engine / "containers").iterdir()] == ["prometheus"], "pgw goes again, theirs stays"
    assert succeeded(stack.stop()) == "Nothing to stop.\n"
    assert theirs.exists()


def test_containers_left_by_a_reboot_are_replaced(stack: Stack, engine: Path) -> None:
    succeeded(stack.start())
    for name, port in {"prometheus": stack.prometheus_port, "pgw": stack.gateway_port}.items():
        running = engine / "running" / name
        kill(int(running.read_text()), port)
        running.unlink()
    succeeded(stack.start())
    assert stack.listening() == [True, True]


@pytest.mark.parametrize("broken", ["prometheus", "pgw"])
def test_a_container_that_ends_at_once_shows_its_log(stack: Stack, engine: Path, broken: str) -> None:
    (engine / f"broken-{broken}").touch()
    complaint = failed(stack.start())
    assert f"{broken} did not start" in complaint
    assert f"the log of {broken}" in complaint
    assert list((engine / "containers").iterdir()) == []
    assert stack.listening() == [False, False]


def test_stop_says_when_the_engine_of_its_containers_is_gone(stack: Stack, engine: Path) -> None:
    succeeded(stack.start())
    docker = (stack.programs / "docker").read_text()
    stack.program("docker", "#!/bin/sh\nexit 1\n")
    assert "no Docker engine answers now" in failed(stack.stop())
    stack.program("docker", docker)
    assert succeeded(stack.stop()) == "Stopped: pgw prometheus\n"
