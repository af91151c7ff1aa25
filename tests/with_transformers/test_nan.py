"""Losses that are NaN, which the Trainer leaves out of what it logs unless it is told otherwise."""

from __future__ import annotations

import math

import pytest

from gangplank.testing import MemorySink
from gangplank.transformers import TrainTestExporter
from support.logged import warnings
from support.tiny_trainers import WARNINGS, Net, tiny_trainer

pytestmark = WARNINGS


def test_a_hidden_nan_shows_in_the_gradient_norm_and_in_the_weights_and_is_reported_once(
    memory: MemorySink, exporter: TrainTestExporter, caplog: pytest.LogCaptureFixture
) -> None:
    tiny_trainer(exporter, model=Net(nan_from=4)).train()
    assert memory.value("gangplank_train_loss") == 0, "as the Trainer logs it"
    assert math.isnan(memory.value("gangplank_train_grad_norm") or 0)
    assert memory.value("gangplank_run_nonfinite_metrics") == 1
    assert memory.value("gangplank_train_model_weights_nonfinite") == 5
    (line,) = warnings(caplog)
    assert "logging_nan_inf_filter=True" in line


def test_a_nan_that_is_logged_is_no_news(
    memory: MemorySink, exporter: TrainTestExporter, caplog: pytest.LogCaptureFixture
) -> None:
    tiny_trainer(exporter, model=Net(nan_from=4), logging_nan_inf_filter=False).train()
    assert math.isnan(memory.value("gangplank_train_loss") or 0)
    assert memory.value("gangplank_run_nonfinite_metrics") == 2 + 1, "loss, gradient norm, and their mean"
    assert not warnings(caplog)
