"""The frame that docs/watch.md shows is what `watch` prints."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

from rich.console import Console

from gangplank.cli.watch.sources import Past
from gangplank.cli.watch.terminal import frame
from gangplank.testing.gateway import Gateway
from support.watched import looked, page, push, watching

DOCUMENT = Path(__file__).parents[3] / "docs" / "watch.md"
ADDRESS = "127.0.0.1:9091"
BEAT, UPDATE = "run_heartbeat_timestamp_seconds", "run_last_update_timestamp_seconds"
EPOCHS: dict[str, float | None] = {"run_step": None, "run_steps_planned": None}


def test_the_frame() -> None:
    with Gateway() as gateway:
        resnet = {BEAT: 750, UPDATE: 760, "run_step": 12000, "run_steps_planned": 90000}
        push(gateway.address, page("running", resnet, run="20261123T104502.118-90aa"), "resnet", team="vision")
        going = {**EPOCHS, "run_epoch": 4, "run_epochs_planned": 20, "run_epoch_duration_seconds": 127}
        push(gateway.address, page("running", going, run="20261123T121018.573-ce0b"), "digits")
        ended = {**EPOCHS, "run_epoch": 8, "run_epochs_planned": 8, "train_loss": 0.1588, "train_accuracy": 0.955}
        push(gateway.address, page("finished", ended, run="20261123T101502.601-1ae4"), "mnist")
        _, view = looked(gateway.address)
        watcher = watching(gateway.address)
        for run in view.runs:
            long_ago = time.time() - 1000
            for metric, curve in (("loss", (9, 4, 2, 1.2, 1, 0.8)), ("accuracy", (0.2, 0.5, 0.6, 0.7, 0.74, 0.74))):
                points = [(long_ago + 100 * index, value) for index, value in enumerate(curve)]
                watcher.history.fill([Past(run.key, metric, points)], view.runs)
        console = Console(width=80, file=io.StringIO(), record=True, color_system=None)
        console.print(frame(watcher, watcher.read(), 80, None))
        printed = console.export_text().replace(gateway.address, ADDRESS)
    shown = DOCUMENT.read_text().partition(f"$ gangplank watch {ADDRESS}\n")[2].partition("\n```")[0]
    clock = re.compile(r"read at \d\d:\d\d:\d\d")
    assert [clock.sub("", line.rstrip()) for line in printed.splitlines()] == [
        clock.sub("", line) for line in shown.splitlines()
    ]
