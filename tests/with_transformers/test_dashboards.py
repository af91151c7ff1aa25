"""What the dashboard of a run shows of a training with Transformers."""

from __future__ import annotations

from pathlib import Path

from gangplank.transformers import TrainTestExporter
from support.grafana import Look, in_short
from support.servers import Server, prometheus
from support.tiny_trainers import WARNINGS, Calls, tiny_trainer

pytestmark = WARNINGS


def test_these_panels_are_empty_and_no_others(gateway: Server, tmp_path: Path) -> None:
    with prometheus(tmp_path, gateway.address, rules=in_short()) as server:
        look = Look(server, {"Forward pass, by rank", "Samples per second"})
        exporter = TrainTestExporter(
            gateway.address, "topics", per_rank=True, push_interval=0.2, histogram_buckets="auto"
        )
        tiny_trainer(
            exporter,
            Calls("on_step_begin", look),
            num_train_epochs=10,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
        ).train()
    assert look.empty == look.expected
