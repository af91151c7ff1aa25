"""The contract, on an adapter that is right and on others that are wrong in one thing each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from testing import journey
from testing.wrong import AFTER, AGAIN, CHILD, COPIES, FAULTS, INSIDE, LOGS, NOTHING, PLAN, WRONG, Wrong, each

ANNOUNCED = "test_it_announces_itself"
TESTS = {
    ANNOUNCED,
    "test_naming_it_imports_no_framework",
    "test_the_final_values_arrive_exactly",
    "test_each_epoch_is_recorded_once",
    "test_the_planned_epochs_are_shown",
    "test_a_training_that_ends_is_finished",
    "test_the_framework_is_named",
    "test_each_training_is_a_run_of_its_own",
    "test_an_exception_passes_and_leaves_failed",
    "test_ranks_above_0_are_silent",
    *(INSIDE, AGAIN, AFTER, NOTHING, PLAN, LOGS, CHILD),
    *each(COPIES, "copy", "deepcopy", "pickled"),
    *each(FAULTS, "refusing", "hung", "rejecting"),
}


def test_a_right_adapter_passes(tmp_path: Path) -> None:
    journey.install(journey.written(), tmp_path)
    outcomes, said = journey.contract(tmp_path)
    assert outcomes == dict.fromkeys(TESTS, "PASSED"), said


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_adapter_fails_where_it_is_wrong(tmp_path: Path, wrong: Wrong) -> None:
    journey.install(wrong.files, tmp_path)
    expected = dict.fromkeys(TESTS, "PASSED") | dict.fromkeys(wrong.fails, "FAILED")
    options = []
    for slow in {ANNOUNCED, CHILD} - wrong.fails:  # seconds, for what they import in another process
        options.append(f"--deselect=tests/test_contract.py::TestToyFramework::{slow}")
        del expected[slow]
    outcomes, said = journey.contract(tmp_path, *options)
    assert outcomes == expected, said
    assert wrong.says in said


def test_one_that_is_not_announced_has_one_failure_that_says_so(tmp_path: Path) -> None:
    files = journey.written()
    files["pyproject.toml"] = files["pyproject.toml"].replace(
        'toy_framework = "gangplank_toy_framework"', 'toy_framework = "nonesuch"'
    )
    journey.install(files, tmp_path)
    outcomes, said = journey.contract(tmp_path)
    assert outcomes == dict.fromkeys(TESTS, "SKIPPED") | {ANNOUNCED: "FAILED"}, said
    assert "toy_framework is broken: ModuleNotFoundError: No module named 'nonesuch'" in said


def test_the_fixture_is_a_gateway_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_contract.py").write_text(
        "import prometheus_client\n"
        "from gangplank.testing.fixtures import gateway\n"
        "def test_push(gateway):\n"
        "    prometheus_client.push_to_gateway(gateway.address, 'nightly', prometheus_client.CollectorRegistry())\n"
        "    assert 'job=\"nightly\"' in gateway.metrics()\n"
        "def test_empty(gateway):\n"
        "    assert 'nightly' not in gateway.metrics()\n"
    )
    outcomes, said = journey.contract(tmp_path)
    assert outcomes == {"test_push": "PASSED", "test_empty": "PASSED"}, said


def test_importing_the_package_imports_no_pytest() -> None:
    program = "import sys, gangplank.testing; assert 'AdapterContract' in dir(gangplank.testing); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "gangplank.testing" in loaded
    assert "pytest" not in loaded
