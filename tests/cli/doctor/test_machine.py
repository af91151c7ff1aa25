"""`gangplank doctor` and this machine: the environment, plugins and adapters."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gangplank
from gangplank.cli.doctor import environment as variables
from gangplank.core.sinks.credentials import PREFIX
from support.examined import Examined, the
from support.servers import Server
from support.strangers import environment, install


@pytest.mark.parametrize(
    ("variables", "state", "said"),
    [
        ({}, "ok", "nothing set"),
        ({"GANGPLANK_DISABLED": "0"}, "ok", "GANGPLANK_DISABLED set"),
        ({"GANGPLANK_DISABLED": "1"}, "warning", "turns every exporter off"),
        ({"GANGPLANK_DISABLE_PLUGIN": "a"}, "warning", "write GANGPLANK_DISABLE_PLUGINS"),
        ({"GANGPLANK_COLOUR_OF_THE_SKY": "a"}, "warning", "unset it"),
        ({"GANGPLANK_PLUGINS": " "}, "warning", "switches every plugin off"),
        ({f"{PREFIX}PASSWORD": "canary"}, "problem", f"set {PREFIX}HOST to the host"),
        ({f"{PREFIX}HOST": "http://gateway:9091"}, "problem", "write host or host:port"),
        ({f"{PREFIX}HOST": "g", f"{PREFIX}USERNAME": "me"}, "warning", f"{PREFIX}PASSWORD is not"),
        ({f"{PREFIX}HOST": "g", f"{PREFIX}PASSWORD": "canary"}, "warning", f"{PREFIX}USERNAME is not"),
        ({f"{PREFIX}HOST": "g", f"{PREFIX}KEY_FILE": __file__}, "warning", f"{PREFIX}CERT_FILE is not"),
        ({f"{PREFIX}HOST": "g", f"{PREFIX}CA_FILE": "/nonesuch"}, "problem", "cannot be read"),
        ({f"{PREFIX}HOST": "g", f"{PREFIX}CA_FILE": "/dev/zero"}, "problem", "cannot be read"),
        ({f"{PREFIX}HOST": "g", f"{PREFIX}CA_FILE": __file__}, "ok", "CA_FILE"),
    ],
)
def test_the_environment(
    variables: dict[str, str], state: str, said: str, examined: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = examined()[1]
    assert found["environment"][0]["state"] == state
    assert any(said in f"{check['found']}: {check['fix']}" for check in found["environment"])
    assert "canary" not in str(found)


def test_packages_without_metadata_are_named_without_a_version(
    examined: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise importlib.metadata.PackageNotFoundError

    for name in ("version", "packages_distributions"):
        monkeypatch.setattr(importlib.metadata, name, refuse)
    (check,) = examined()[1]["versions"]
    assert check["found"].endswith(", gangplank, numpy, prometheus-client, pluggy")


def test_it_knows_every_variable_of_ours() -> None:
    source = Path(gangplank.__file__).parent
    text = "".join(file.read_text() for file in source.rglob("*.py"))
    assert set(re.findall(r"GANGPLANK_[A-Z_]*[A-Z]", text)) <= {*variables.VARIABLES, PREFIX.rstrip("_")}


def test_an_environment_that_no_gateway_can_be_used_with(
    gateway: Server, examined: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}PASSWORD", "canary")
    code, found = examined(gateway.address, "--prometheus", gateway.address)
    assert code == 1
    assert the(found, "gateway")[0] == the(found, "prometheus")[0] == found["environment"][0]["state"] == "problem"


def process(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gangplank", "doctor", *arguments]
    return subprocess.run(
        command, env=environment(folder, **variables), capture_output=True, text=True, timeout=100, check=False
    )


def test_plugins_and_adapters_that_are_not_well(tmp_path: Path) -> None:
    install(tmp_path, "keras", "raise ImportError('a broken Keras')")  # in place of the installed one
    install(tmp_path, "broken_one", "raise ImportError('no such library')")
    install(
        tmp_path,
        "confused",
        """
        from gangplank import hookimpl
        @hookimpl
        def gangplank_snapshots(run): pass
        @hookimpl
        def gangplank_adapters(): return ["keras"]
        @hookimpl
        def gangplank_open_sink(address):
            if address.startswith("kafka:"): return gangplank_adapters
        """,
    )
    done = process(
        tmp_path,
        "kafka://broker:1",
        GANGPLANK_DISABLE_PLUGINS="keras,other",
        GANGPLANK_PLUGINS="x keras confused broken_one",
    )
    said = done.stdout
    assert done.stderr == ""
    assert done.returncode == 1
    assert re.search(r"^ok +plugins +keras \(.*\) is switched off by GANGPLANK_DISABLE_PLUGINS$", said, re.MULTILINE)
    assert re.search(
        r"^problem +plugins +broken_one \(broken_one 1.0\) is broken: ImportError: no such library -> fix it",
        said,
        re.MULTILINE,
    )
    assert re.search(
        r"^warning +plugins +confused .*gangplank_snapshots.*GANGPLANK_DISABLE_PLUGINS=confused$", said, re.MULTILINE
    )
    assert re.search(r"^warning +plugins +GANGPLANK_DISABLE_PLUGINS names other, but ", said, re.MULTILINE)
    assert re.search(r"^warning +plugins +GANGPLANK_PLUGINS names x, but ", said, re.MULTILINE)
    assert re.search(
        r"^warning +plugins +The plugin confused raised in gangplank_adapters: TypeError", said, re.MULTILINE
    )
    assert re.search(
        r"^warning +adapter +keras: .*cannot be imported: ImportError: a broken Keras$", said, re.MULTILINE
    )
    assert re.search(
        r"^problem +destination +the plugin confused opened <function .*, which is not a gangplank.Sink$",
        said,
        re.MULTILINE,
    )
    assert said.splitlines()[-1] == "2 problems, 5 warnings."


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("raise SystemExit(3)", "; kafka raised SystemExit: 3"),
        ("return Kafka()", "kafka://broker:1 is opened by a plugin, as a Kafka"),
    ],
)
def test_a_plugin_that_opens_a_destination(more: str, said: str, tmp_path: Path) -> None:
    sink = "class Kafka:\n    def send(self, page, timeout): pass\n    def close(self): pass\n"
    hook = f"from gangplank import hookimpl\n@hookimpl\ndef gangplank_open_sink(address): {more}\n"
    install(tmp_path, "kafka", sink + hook)
    done = process(tmp_path, "kafka://broker:1")
    assert f"{said}\n" in done.stdout
    assert done.returncode == ("Kafka" not in more)


def test_packages_that_cannot_be_read_are_a_problem(tmp_path: Path) -> None:
    install(tmp_path, "wrong", "")
    (tmp_path / "wrong-1.0.dist-info" / "entry_points.txt").write_text("[others]\ngarbage\n")
    done = process(tmp_path)
    assert done.returncode == 0
    assert "The entry points of wrong cannot be read" in done.stdout
    assert "Traceback" not in done.stderr


def test_two_plugins_of_one_name_are_a_problem(tmp_path: Path) -> None:
    for name in ("one", "two"):
        install(tmp_path, name, "", plugin="same")
    done = process(tmp_path)
    assert done.returncode == 1
    assert re.search(r"^problem +plugins +two plugins claim the name 'same'", done.stdout, re.MULTILINE)


def test_it_needs_nothing_but_the_core(gateway: Server, capsys: pytest.CaptureFixture[str]) -> None:
    needless = ("rich", "keras", "sklearn", "yaml", "requests")
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({needless})); from gangplank.cli import main; "
        f"sys.exit(main(['doctor', '{gateway.address}']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(
        "^ok +adapter +keras: keras is not installed: in a checkout of gangplank, run pip install",
        done.stdout,
        re.MULTILINE,
    )
