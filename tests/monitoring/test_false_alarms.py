"""An hour of healthy training: no alert fires. Each framework has the same test."""

from __future__ import annotations

from pathlib import Path

import pytest

import gangplank
from support.fast_motion import fast_motion
from support.servers import Generation


@pytest.mark.parametrize("generation", ["old", "new"])
def test_a_healthy_loop_of_ones_own_raises_no_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generation: Generation
) -> None:
    clock = fast_motion(monkeypatch)
    with gangplank.run(
        "memory", "digits", sink=clock.memory, push_interval=0, update_freq="batch", ignore_exceptions=False
    ) as run:
        for epoch in run.epochs(12):
            for step in range(epoch * 25, epoch * 25 + 25):
                clock.pass_(10)
                run.step({"loss": 1 / (step + 1)}, step=step + 1, duration=9.5)
            with run.activity("validate"):
                clock.pass_(40)
            with run.activity("checkpoint"):
                clock.pass_(10)
            run.checkpoint()
            run.record({"loss": 1 / (epoch + 1), "val_loss": 2 / (epoch + 1)}, samples=800)
    clock.pass_(600)
    assert not clock.alerts(tmp_path, generation)
