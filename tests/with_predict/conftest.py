"""The served model of examples/predict, and the detectors of examples/drift."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support import serving

sys.path.append(str(serving.DRIFT))  # as the scripts of the examples do


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the model and the reference that train.py has saved."""
    folder = tmp_path_factory.mktemp("trained")
    serving.run(folder, serving.PREDICT / "train.py")
    return folder
