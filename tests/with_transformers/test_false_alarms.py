"""An hour of healthy training: no alert fires."""

from __future__ import annotations

from pathlib import Path

import pytest

from gangplank.transformers import TrainTestExporter
from support.fast_motion import fast_motion
from support.servers import Generation
from support.tiny_trainers import WARNINGS, Calls, tiny_trainer

pytestmark = WARNINGS


@pytest.mark.parametrize("generation", ["old", "new"])
def test_a_healthy_training_raises_no_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generation: Generation
) -> None:
    clock = fast_motion(monkeypatch)
    trainer = tiny_trainer(
        TrainTestExporter("memory", "digits", sink=clock.memory, push_interval=0, ignore_exceptions=False),
        Calls("on_step_begin", lambda: clock.pass_(10)),
        Calls("on_prediction_step", lambda: clock.pass_(20)),
        Calls("on_save", lambda: clock.pass_(5)),
        num_train_epochs=32,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
    )
    trainer.train()
    clock.pass_(600)
    assert not clock.alerts(tmp_path, generation)
