"""examples/custom_adapter, as a stranger ships it: two wheels, an environment of their own, and a real Pushgateway."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support import strangers
from support.environments import Environment
from support.reading import samples, value
from support.servers import Server


@pytest.fixture(scope="module")
def environment(wheels: Path, make_environment: Callable[[], Environment]) -> Environment:
    """The adapter, with what `pip install 'gangplank-lightgbm[dev]'` brings along."""
    made = make_environment()
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
    assert len(re.findall(r"test_contract\.py::TestLightGBM::\S+ PASSED", said)) == 20, said
    # LightGBM refuses to train 0 rounds, has no evaluations, and does not log by steps.
    assert set(re.findall(r"::(\w+) SKIPPED", said)) == {
        "test_a_training_with_nothing_left_to_do_replaces_nothing",
        "test_an_evaluation_after_a_training_that_was_broken_off",
        "test_logs_of_steps_do_not_push_each",
    }, said
    assert not re.search("FAILED|ERROR", said), said
