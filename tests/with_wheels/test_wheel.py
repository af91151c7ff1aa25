"""The wheel, in an environment that has nothing else, and what the README says to do there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import gangplank
from support.environments import ROOT, Environment
from support.reading import value
from support.servers import Server

TEN_LINES, LOOP = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)

# MNIST would be downloaded: images of its shape and type stand in.
IMAGES = """
import keras, numpy
random = numpy.random.default_rng(1)
images = random.integers(0, 256, (320, 28, 28), numpy.uint8), random.integers(0, 10, 320)
keras.datasets.mnist.load_data = lambda: (images, images)
"""

LIGHTNING = """
import lightning.pytorch
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel

class Model(BoringModel):
    def training_step(self, batch, number):
        loss = super().training_step(batch, number)["loss"]
        self.log("loss", loss)
        return loss

LightningCLI(Model, BoringDataModule, save_config_callback=None)
"""

CONFIG = """
trainer:
  max_epochs: 2
  accelerator: cpu
  logger: false
  enable_checkpointing: false
  enable_progress_bar: false
  callbacks:
  - class_path: gangplank.lightning.TrainTestExporter
    init_args: {{pgw_addr: "{address}", job: boring}}
"""


@pytest.fixture(scope="module")
def wheel(wheels: Path) -> Path:
    """The wheel of gangplank."""
    [found] = wheels.glob("gangplank-*")
    return found


@pytest.fixture(scope="module")
def bare(make_environment: Callable[[], Environment], wheel: Path) -> Environment:
    """The wheel without an extra."""
    made = make_environment()
    made.install(wheel)
    return made


def test_it_brings_three_packages_and_its_version(bare: Environment) -> None:
    assert bare.installed() == {"gangplank", "numpy", "pluggy", "prometheus_client"}
    assert bare.run("-m", "gangplank", "--version").stdout == f"gangplank {gangplank.__version__}\n"
    metadata = bare.run("-c", "import importlib.metadata as m; print(m.metadata('gangplank'))").stdout
    assert f"Version: {gangplank.__version__}\n" in metadata
    assert "Project-URL: Issues, https://" in metadata


def test_without_a_framework_there_is_help_and_a_loop_of_ones_own_works(bare: Environment, gateway: Server) -> None:
    said = bare.run("-Werror", "-m", "pydoc", "gangplank")
    assert said.stderr == ""
    assert "class TrainTestExporter" in said.stdout
    assert 'in a checkout of gangplank, run pip install ".[tensorflow]"' in said.stdout
    loop = bare.run("-Werror", "-c", LOOP.replace("127.0.0.1:9091", gateway.address))
    assert loop.stderr == ""
    assert value(gateway, "gangplank_run_state", phase="train", state="finished") == 1


def test_without_a_framework_it_says_what_is_missing(bare: Environment) -> None:
    said = bare.run("-m", "gangplank", "adapters").stdout
    [keras] = [line for line in said.splitlines() if line.startswith("keras ")]
    assert 'not available: keras is not installed: in a checkout of gangplank, run pip install ".[tensorflow]"' in keras
    assert keras.endswith("(or [jax], or [torch])")


def test_with_an_extra_the_readmes_ten_lines_work(
    make_environment: Callable[[], Environment], wheel: Path, gateway: Server
) -> None:
    made = make_environment()
    made.install(f"gangplank[jax] @ {wheel.as_uri()}")
    program = IMAGES + TEN_LINES.replace("127.0.0.1:9091", gateway.address)
    made.run("-c", program, KERAS_BACKEND="jax")
    assert value(gateway, "gangplank_run_state", phase="train", state="finished") == 1
    assert value(gateway, "gangplank_run_epoch", phase="train") == 5
    assert value(gateway, "gangplank_train_model_weights_count") == 7_850
    assert value(gateway, "gangplank_test_accuracy") is not None


def test_lightnings_command_line_takes_our_exporter_without_keras(
    make_environment: Callable[[], Environment], wheel: Path, gateway: Server, tmp_path: Path
) -> None:
    made = make_environment()
    made.link(without=("keras", "tensorflow", "gangplank"))
    # Nothing more may be needed than what is there.
    made.install("--no-index", f"gangplank[lightning] @ {wheel.as_uri()}", "jsonargparse[signatures]")
    assert {"gangplank", "torch", "lightning"} <= made.installed()
    assert "keras" not in made.installed()
    (tmp_path / "train.py").write_text(LIGHTNING)
    (tmp_path / "config.yaml").write_text(CONFIG.format(address=gateway.address))
    made.run(tmp_path / "train.py", "fit", "--config", tmp_path / "config.yaml")
    assert value(gateway, "gangplank_run_state", job="boring", state="finished") == 1
    assert value(gateway, "gangplank_train_loss", job="boring") is not None
