"""An hour of healthy training: no alert fires."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest

from gangplank import TrainTestExporter
from support.fast_motion import fast_motion
from support.keras_fits import Data, fit
from support.servers import Generation


@pytest.mark.parametrize("update_freq", ["epoch", "batch"])
@pytest.mark.parametrize("generation", ["old", "new"])
def test_a_healthy_training_raises_no_alarm(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    generation: Generation,
    model: keras.Model,
    data: Data,
    update_freq: str,
) -> None:
    clock = fast_motion(monkeypatch)
    exporter = TrainTestExporter(
        "memory", "digits", sink=clock.memory, push_interval=0, update_freq=update_freq, ignore_exceptions=False
    )
    takes = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda *_, **__: clock.pass_(60))
    fit(model, data, exporter, takes, epochs=15, validation_data=data)
    clock.pass_(600)
    assert not clock.alerts(tmp_path, generation)
