"""An hour of healthy training: no alert fires."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.fast_motion import fast_motion
from support.lightning_model import PL, WARNINGS, data, module, trainer
from support.lightning_pages import Pages, exporter
from support.servers import Generation

pytestmark = WARNINGS


@pytest.mark.parametrize("generation", ["old", "new"])
def test_a_healthy_training_raises_no_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generation: Generation
) -> None:
    clock = fast_motion(monkeypatch)
    pages = clock.memory = Pages()

    class Takes(PL.Callback):  # type: ignore[misc, name-defined]
        """Ten seconds a step, and twenty for a batch of the validation."""

        def on_train_batch_start(self, *_: Any) -> None:
            clock.pass_(10)

        def on_validation_batch_start(self, *_: Any) -> None:
            clock.pass_(20)

    trainer(exporter(pages, push_interval=0), Takes(), max_epochs=60).fit(module(), data(), data(16))
    clock.pass_(600)
    assert not clock.alerts(tmp_path, generation)
