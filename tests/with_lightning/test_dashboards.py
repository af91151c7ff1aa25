"""What the dashboard of a run shows of a training with Lightning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gangplank.lightning import TrainTestExporter
from support.grafana import Look, in_short
from support.lightning_model import PL, WARNINGS, data, module, trainer
from support.servers import Server, prometheus

pytestmark = WARNINGS


def test_these_panels_are_empty_and_no_others(gateway: Server, tmp_path: Path) -> None:
    with prometheus(tmp_path, gateway.address, rules=in_short()) as server:
        look = Look(server, set())
        exporter = TrainTestExporter(
            gateway.address,
            "digits",
            update_freq="batch",
            per_rank=True,
            push_interval=0.2,
            histogram_buckets="auto",
        )

        class Looks(PL.Callback):  # type: ignore[misc, name-defined]
            """Looks in each step."""

            def on_train_batch_start(self, *_: Any) -> None:
                look()

        trainer(exporter, Looks(), max_epochs=20, enable_checkpointing=True, default_root_dir=tmp_path).fit(
            module(), data(), data(16)
        )
    assert look.empty == look.expected
