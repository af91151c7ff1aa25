"""What a training loop among the examples must show, in a process of its own, with a gateway and without."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from support.reading import samples, value
from support.servers import Server, free_port

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TRAINED, TESTED = {"job": "loop", "phase": "train"}, {"job": "loop", "phase": "test"}


def numbers(printed: str) -> dict[str, dict[str, float]]:
    """Return the numbers that a loop printed, by what stands in front of them."""
    return {what: ast.literal_eval(found) for what, found in re.findall(r"^(.+): (\{.+\})$", printed, re.MULTILINE)}


def states(gateway: Server, **labels: str) -> list[str]:
    """Return the states that a run is in, by its `gangplank_run_state`."""
    found = samples(gateway.metrics(), "gangplank_run_state", **labels)
    return [sample.labels["state"] for sample in found if sample.value]


class LoopExample:
    """The tests of one loop.

    Attributes:
        folder: of the loop, among the examples.
        heading: under which the examples' README tells of it.
        weights: how many it trains.
    """

    folder: str
    heading: str
    weights: int

    def command(self, address: str, epochs: int) -> list[str]:
        """Return what runs the loop: warnings are errors, and what it prints can be read at once."""
        script = EXAMPLES / self.folder / "train.py"
        return [sys.executable, "-uWerror", str(script), "--address", address, "--epochs", str(epochs), "--job", "loop"]

    def train(self, address: str, **environment: str) -> subprocess.CompletedProcess[str]:
        env = os.environ | environment
        return subprocess.run(
            self.command(address, 2), env=env, capture_output=True, text=True, timeout=100, check=False
        )

    def test_what_is_printed_is_what_the_gateway_holds(self, gateway: Server) -> None:
        done = self.train(gateway.address)
        assert done.returncode == 0, done.stderr
        printed = numbers(done.stdout)
        assert list(printed) == ["epoch 1", "epoch 2", "test"]
        assert set(printed["test"]) == {"loss", "accuracy"}
        assert printed["epoch 2"]["loss"] < printed["epoch 1"]["loss"], "it learns"
        assert printed["test"]["accuracy"] > 0.7

        for phase, metrics in ("train", printed["epoch 2"]), ("test", printed["test"]):
            for name, number in metrics.items():
                assert value(gateway, f"gangplank_{phase}_{name}", job="loop", phase=phase) == number, name
        epochs = samples(gateway.metrics(), "gangplank_run_metric_epoch", **TRAINED)
        assert {sample.labels["metric"]: sample.value for sample in epochs} == dict.fromkeys(printed["epoch 2"], 2)

    def test_how_the_run_stood_and_what_it_trained(self, gateway: Server) -> None:
        done = self.train(gateway.address)
        assert done.returncode == 0, done.stderr
        assert states(gateway, **TRAINED) == ["finished"]
        assert states(gateway, **TESTED) == ["finished"]
        assert value(gateway, "gangplank_run_epoch", **TRAINED) == 2
        assert value(gateway, "gangplank_run_epochs_planned", **TRAINED) == 2
        assert value(gateway, "gangplank_run_step", **TRAINED) == 2 * 20
        assert value(gateway, "gangplank_run_info", dataset="digits", **TRAINED) == 1
        assert value(gateway, "gangplank_train_model_weights_count", **TRAINED) == self.weights
        assert value(gateway, "gangplank_train_model_weights_nonfinite", **TRAINED) == 0
        assert value(gateway, "gangplank_train_model_parameters", trainable="true", **TRAINED) == self.weights
        assert value(gateway, "gangplank_train_model_parameters", trainable="false", **TRAINED) == 0
        for counter in "gangplank_run_dropped_metrics_total", "gangplank_run_export_failures_total":
            assert {sample.value for sample in samples(gateway.metrics(), counter)} == {0}

        _, section = (EXAMPLES / "README.md").read_text().split(f"\n## {self.heading}\n")
        told = set(re.findall(r"\bgangplank_\w+", section.split("\n## ")[0])) - {"gangplank_"}
        families = set(re.findall(r"^# TYPE (gangplank_\w+)", gateway.metrics(), re.MULTILINE))
        assert told
        assert told <= families, "the README tells of what is not there"

    def test_without_a_gateway_the_numbers_are_the_same(self) -> None:
        address = f"127.0.0.1:{free_port()}"
        off = self.train(address, GANGPLANK_DISABLED="1")
        assert off.returncode == 0, off.stderr
        assert address not in off.stderr
        done = self.train(address)
        assert done.returncode == 0, done.stderr
        assert address in done.stderr, "the log says what did not arrive"
        assert "Traceback" not in done.stderr
        assert done.stdout == off.stdout
        assert list(numbers(done.stdout)) == ["epoch 1", "epoch 2", "test"]

    def test_ctrl_c_leaves_an_interrupted_run(self, gateway: Server) -> None:
        planned = 10**6
        training = subprocess.Popen(
            self.command(gateway.address, planned), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        with training:
            try:
                assert training.stdout
                said = training.stdout.readline()
                training.send_signal(signal.SIGINT)
                rest, complaint = training.communicate(timeout=60)
            finally:
                training.kill()
        assert said.startswith("epoch 1: "), complaint
        assert training.returncode == -signal.SIGINT, complaint
        assert "KeyboardInterrupt" in complaint

        assert states(gateway, **TRAINED) == ["interrupted"]
        assert value(gateway, "gangplank_run_epochs_planned", **TRAINED) == planned
        printed = len(numbers(said + rest))
        # Ctrl-C may come between what is recorded and what is printed.
        assert value(gateway, "gangplank_run_epoch", **TRAINED) in {printed, printed + 1}
        assert states(gateway, **TESTED) == [], "nothing is tested"
