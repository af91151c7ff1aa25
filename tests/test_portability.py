"""Without POSIX, as on Windows: a run reaches its gateway all the same, and what cannot work says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.reading import samples, value
from support.servers import Server, free_port

TESTS = str(Path(__file__).parent)
NOBODY = {"LOGNAME", "USER", "LNAME", "USERNAME"}
MAIN = """
import sys
sys.modules["keras"] = sys.modules["pytorch_lightning"] = None  # they take seconds to import
from gangplank.cli import main
sys.exit(main())
"""


def command(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-Werror", "-c", f"import support.without_posix\n{program}", *arguments]


def environment() -> dict[str, str]:
    """Return one that says nothing of who the user is, and lets a process find what the tests have."""
    inherited = {name: text for name, text in os.environ.items() if name not in NOBODY}
    return {**inherited, "PYTHONPATH": os.pathsep.join(filter(None, (TESTS, os.environ.get("PYTHONPATH"))))}


def ran(program: str, *arguments: str) -> str:
    """Return what a program without POSIX prints; it has nothing to complain of."""
    done = subprocess.run(
        command(program, *arguments), env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_run_reaches_its_gateway(gateway: Server) -> None:
    ran(f"""
import gangplank
exporter = gangplank.Exporter({gateway.address!r}, "digits", histogram_buckets=[0.0])
with exporter.run() as run:
    for epoch in run.epochs(2):
        run.record({{"loss": 0.5}}, weights=[[-1.0, 1.0]])
with exporter.run("test") as test:
    test.record({{"loss": 0.25}})
""")
    assert value(gateway, "gangplank_run_state", phase="train", state="finished") == 1
    assert value(gateway, "gangplank_train_loss") == 0.5
    assert value(gateway, "gangplank_train_model_weights_count") == 2
    assert value(gateway, "gangplank_test_loss") == 0.25
    (facts,) = samples(gateway.metrics(), "gangplank_run_info", phase="train")
    assert "owner" not in facts.labels, "nothing says who that is"


def test_prometheus_can_scrape_one() -> None:
    port = free_port()
    shown = ran(f"""
import http.client, gangplank
with gangplank.run("scrape://127.0.0.1:{port}", "digits", ignore_exceptions=False) as run:
    run.record({{"loss": 0.5}}, epoch=0)
    client = http.client.HTTPConnection("127.0.0.1", {port})
    client.request("GET", "/metrics")
    print(client.getresponse().read().decode())
    client.close()
""")
    assert "\ngangplank_train_loss{" in shown


def test_a_file_is_refused_at_construction(tmp_path: Path) -> None:
    said = ran(f"""
import gangplank
try: gangplank.run("file://{tmp_path}/digits.prom", "digits")
except gangplank.ConfigurationError as error: print(error)
""")
    assert "cannot lock files" in said
    assert "scrape://" in said
    assert list(tmp_path.iterdir()) == []


def test_the_verbs_do_what_they_do(gateway: Server) -> None:
    ran(f"""
import gangplank
with gangplank.run({gateway.address!r}, "digits") as run:
    run.record({{"loss": 0.5}}, epoch=0)
""")
    assert "No plugins are installed." in ran(MAIN, "plugins")
    assert "keras is not installed" in ran(MAIN, "adapters")
    assert "All is well." in ran(MAIN, "doctor", gateway.address)
    assert "digits" in ran(MAIN, "show", gateway.address)
    ran(MAIN, "delete", gateway.address, "--job", "digits", "--yes")
    assert value(gateway, "gangplank_train_loss") is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_embedded_gateway_serves_until_it_is_stopped(number: signal.Signals) -> None:
    with subprocess.Popen(
        command(MAIN, "gateway", "--listen", "127.0.0.1:0"), env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(3)]
        assert "Ctrl-C" in said[2]
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
