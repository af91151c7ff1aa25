"""Series of runs that never were, and what Prometheus' rules say of them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gangplank.monitoring import rules

# Of `promtool`: `a+bxn` is a, and n times b more than the one before; `axn` is a and n times the same.
Values = Mapping[str, str | None]


@dataclass(frozen=True)
class History:
    """The series of a run, a sample for each minute.

    Args:
        minutes: how long it lasts.
        changes: the values of other series, by name with the labels of their own; None takes one away.
        labels: that all series have.
        begins: in the minutes of the test.
    """

    minutes: int
    changes: Values
    labels: Mapping[str, str]
    begins: int = 0

    def series(self) -> list[dict[str, str]]:
        """Return the series as promtool reads them."""
        return [
            {"series": _with(name, self.labels), "values": " ".join(["_"] * self.begins + [values])}
            for name, values in {**healthy(self.minutes, 60 * self.begins), **self.changes}.items()
            if values is not None
        ]


def healthy(minutes: int, start: int = 0) -> dict[str, str]:
    """Return the series of a healthy run: ten steps a second, an epoch and a checkpoint each minute."""
    rates = {"startup": 0, "train": 50, "data_wait": 4, "validate": 3, "checkpoint": 3, "other": 0}
    states = {"running": 1, "finished": 0, "failed": 0, "interrupted": 0}
    now = f"{start}+60x{minutes}"
    return {
        **{f'gangplank_run_state{{state="{state}"}}': f"{value}x{minutes}" for state, value in states.items()},
        **{
            f'gangplank_run_activity_seconds_total{{activity="{name}"}}': f"0+{rate}x{minutes}"
            for name, rate in rates.items()
        },
        'gangplank_run_info{host="node-1",owner="ann"}': f"1x{minutes}",
        "gangplank_run_start_timestamp_seconds": f"{start}x{minutes}",
        "gangplank_run_heartbeat_timestamp_seconds": now,
        "gangplank_run_last_update_timestamp_seconds": now,
        "gangplank_run_checkpoint_timestamp_seconds": now,
        "gangplank_run_epoch": f"0+1x{minutes}",
        "gangplank_run_epochs_planned": f"1000x{minutes}",
        "gangplank_run_epoch_duration_seconds": f"60x{minutes}",
        "gangplank_run_samples_per_second": f"320x{minutes}",
        "gangplank_run_step": f"0+600x{minutes}",
        "gangplank_run_checkpoint_step": f"0+600x{minutes}",
        "gangplank_run_steps_planned": f"600000x{minutes}",
        "gangplank_run_resumed_from_step": f"0x{minutes}",
        "gangplank_run_step_duration_seconds_count": f"0+600x{minutes}",
        "gangplank_run_step_duration_seconds_sum": f"0+50x{minutes}",
        "gangplank_run_nonfinite_metrics": f"0x{minutes}",
        "gangplank_train_loss": f"0.5x{minutes}",
        "gangplank_train_val_loss": f"0.6x{minutes}",
        "gangplank_train_model_weights_nonfinite": f"0x{minutes}",
        'gangplank_train_model_parameters{trainable="true"}': f"50x{minutes}",
        'gangplank_train_model_parameters{trainable="false"}': f"7x{minutes}",
    }


def said(
    promtool: str, folder: Path, tests: Sequence[Mapping[str, Any]], *, each: str = "1m", history: bool = True
) -> str:
    """Return what promtool says of tests of the rules: nothing if all is as they expect.

    Args:
        promtool: the program.
        folder: an empty one.
        tests: as in promtool's files.
        each: how often the rules are evaluated.
        history: have the rules that read weeks, which takes longer than all others.
    """
    text = rules()
    if not history:
        text = re.sub(r"(?s)  - name: gangplank-trainings\n.*?(?=  - name: )", "", text)
    (folder / "rules.yml").write_text(text)
    document = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": each,
        "group_eval_order": re.findall(r"  - name: (\S+)", text),  # otherwise it is random
        "tests": list(tests),
    }
    (folder / "test.yml").write_text(json.dumps(document))  # which is YAML as well
    done = subprocess.run(
        [promtool, "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    text = done.stdout + done.stderr
    return "" if done.returncode == 0 else text


def _with(name: str, labels: Mapping[str, str]) -> str:
    family, _, own = name.partition("{")
    each = [f'{label}="{value}"' for label, value in labels.items()]
    return f"{family}{{{','.join([*each, *([own[:-1]] if own else [])])}}}"
