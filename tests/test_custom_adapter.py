"""examples/custom_adapter, as a stranger ships it: two wheels, an environment of their own, and a real Pushgateway."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import strangers
from reading import samples, value
from servers import Server

pytestmark = pytest.mark.alongside

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "custom_adapter"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def done(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run what must succeed; what this process imports from is nothing to it."""
    env = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "GANGPLANK_"))}
    ended = subprocess.run(
        command, env={**env, **variables}, cwd=EXAMPLE, capture_output=True, text=True, timeout=280, check=False
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended


@dataclass
class Environment:
    """A virtual environment that sees nothing but what is installed into it."""

    folder: Path

    def __post_init__(self) -> None:
        done(sys.executable, "-m", "venv", "--without-pip", self.folder)
        self.python = self.folder / "bin" / "python"

    def install(self, *what: str | Path) -> None:
        constraints = ("--constraint", ROOT / "constraints.txt")
        done(*PIP, "--python", self.python, "install", "--quiet", *constraints, *what)

    def run(self, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        return done(self.python, *arguments, PYTHONDONTWRITEBYTECODE="1", **variables)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    done(*PIP, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, EXAMPLE)
    assert sorted(wheel.name.split("-")[0] for wheel in folder.iterdir()) == ["gangplank", "gangplank_lightgbm"]
    return folder


@pytest.fixture(scope="module")
def environment(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The adapter, with what `pip install 'gangplank-lightgbm[dev]'` brings along."""
    made = Environment(tmp_path_factory.mktemp("environment"))
    [adapter] = wheels.glob("gangplank_lightgbm-*")
    made.install("--find-links", wheels, f"gangplank-lightgbm[dev] @ {adapter.as_uri()}")
    return made


def numbers(printed: str) -> dict[str, dict[str, float]]:
    """Return what LightGBM reported, by data set."""
    found = re.findall(r"^(\w+) after round \d+: (.+)$", printed, re.MULTILINE)
    return {data: ast.literal_eval(metrics) for data, metrics in found}


def train(environment: Environment, gateway: Server, **variables: str) -> subprocess.CompletedProcess[str]:
    return environment.run("-Werror", "train.py", "--address", gateway.address, **variables)


def shows(gateway: Server, reported: dict[str, dict[str, float]]) -> None:
    """Check that the gateway holds what LightGBM reported, to the last bit."""
    assert {(data, metric) for data, metrics in reported.items() for metric in metrics} == {
        (data, metric) for data in ("training", "validation") for metric in ("auc", "binary_logloss")
    }
    for metric in ("auc", "binary_logloss"):
        assert value(gateway, f"gangplank_train_{metric}") == reported["training"][metric]
        assert value(gateway, f"gangplank_train_val_{metric}") == reported["validation"][metric]
    assert value(gateway, "gangplank_run_state", state="finished") == 1


def test_three_dependencies_are_enough_to_be_told_what_is_missing(wheels: Path, tmp_path: Path) -> None:
    bare = Environment(tmp_path / "bare")
    [core] = wheels.glob("gangplank-*")
    bare.install(core)
    installed = {folder.name.split("-")[0] for folder in tmp_path.glob("bare/lib/*/site-packages/*.dist-info")}
    assert installed == {"gangplank", "numpy", "pluggy", "prometheus_client"}
    assert bare.run("-Werror", "-c", "import gangplank").stderr == ""
    said = bare.run("-m", "gangplank", "adapters").stdout
    [keras] = [line for line in said.splitlines() if line.startswith("keras ")]
    assert "not available: keras is not installed: pip install 'gangplank[tensorflow]' (or [jax], or [torch])" in keras


def test_the_gateway_holds_what_lightgbm_reported(environment: Environment, gateway: Server) -> None:
    trained = train(environment, gateway)
    assert trained.stderr == ""
    shows(gateway, numbers(trained.stdout))
    assert value(gateway, "gangplank_run_epochs_planned") == 200
    assert f"after round {value(gateway, 'gangplank_run_epoch'):.0f}:" in trained.stdout
    [info] = samples(gateway.metrics(), "gangplank_run_info")
    assert (info.labels["framework"], info.labels["dataset"]) == ("lightgbm", "breast_cancer")


def test_the_installed_adapter_is_listed(environment: Environment) -> None:
    said = environment.run("-m", "gangplank", "adapters").stdout
    [line] = [line for line in said.splitlines() if line.startswith("lightgbm ")]
    assert " available: lightgbm 4" in line
    assert "gangplank_lightgbm.callback:PrometheusExporter" in line


def test_a_broken_plugin_beside_it_is_one_line_and_the_same_values(
    environment: Environment, gateway: Server, tmp_path: Path
) -> None:
    expected = numbers(train(environment, gateway, GANGPLANK_DISABLED="1").stdout)
    assert value(gateway, "gangplank_run_epoch") is None
    strangers.install(tmp_path, "broken_one", "raise RuntimeError('no such luck')")
    trained = train(environment, gateway, PYTHONPATH=str(tmp_path))
    assert trained.stderr == "The plugin broken_one cannot be loaded: RuntimeError: no such luck\n"
    assert numbers(trained.stdout) == expected
    shows(gateway, expected)


def test_its_own_tests_pass_there(environment: Environment) -> None:
    said = environment.run("-m", "pytest", "-p", "no:cacheprovider", "-v", "--color=no").stdout
    assert len(re.findall(r"test_contract\.py::TestLightGBM::\S+ PASSED", said)) == 16, said
    assert not re.search("SKIPPED|FAILED|ERROR", said), said
