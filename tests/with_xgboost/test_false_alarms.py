"""An hour of healthy training: no alert fires."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import xgboost

from support.boosting import exporter, train
from support.fast_motion import FastMotion, fast_motion
from support.servers import Generation


class HalfAMinute(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """Each round takes half a minute."""

    def __init__(self, clock: FastMotion) -> None:
        super().__init__()
        self.clock = clock

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        self.clock.pass_(30)
        return False


@pytest.mark.parametrize("generation", ["old", "new"])
def test_a_healthy_training_raises_no_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generation: Generation
) -> None:
    clock = fast_motion(monkeypatch)
    train(120, HalfAMinute(clock), exporter(clock.memory, push_interval=0))
    clock.pass_(600)
    assert not clock.alerts(tmp_path, generation)
