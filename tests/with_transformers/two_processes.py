"""A training in two processes, as a program, which torchrun or accelerate starts twice: its options are JSON.

No hook of the exporter may begin a collective operation.
"""

from __future__ import annotations

import contextlib
import functools
import json
import sys
import warnings
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")

import torch.distributed  # noqa: E402

from gangplank.transformers import TrainTestExporter  # noqa: E402
from support.tiny_trainers import tiny_trainer  # noqa: E402

COLLECTIVES = [
    *("all_gather", "all_gather_into_tensor", "all_gather_object", "all_reduce", "barrier", "broadcast"),
    *("broadcast_object_list", "gather", "gather_object", "reduce", "scatter", "send", "recv"),
]


class Watched(TrainTestExporter):
    """Notes whether one of its hooks is under way."""

    inside = False


def watched(hook: Any) -> Any:
    @functools.wraps(hook)
    def call(*arguments: Any, **more: Any) -> Any:
        Watched.inside = True
        try:
            return hook(*arguments, **more)
        finally:
            Watched.inside = False

    return call


def forbidden(name: str, collective: Any) -> Any:
    @functools.wraps(collective)
    def call(*arguments: Any, **more: Any) -> Any:
        if Watched.inside:
            sys.exit(f"a hook has begun the collective {name}")
        return collective(*arguments, **more)

    return call


def main() -> None:
    plan = json.loads(sys.argv[1])
    for name in [name for name in vars(TrainTestExporter) if name.startswith("on_")]:
        setattr(Watched, name, watched(getattr(TrainTestExporter, name)))
    for place in (torch.distributed, torch.distributed.distributed_c10d):
        for name in COLLECTIVES:
            with contextlib.suppress(AttributeError):
                setattr(place, name, forbidden(name, getattr(place, name)))
    exporter = Watched(plan["address"], "two", histogram_buckets=[0.0], **plan.get("options", {}))
    trainer = tiny_trainer(exporter, eval_strategy="epoch", save_strategy="epoch", output_dir=plan["folder"])
    trainer.train()
    evaluated = trainer.evaluate()
    rank = torch.distributed.get_rank()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    Path(plan["folder"], f"rank{rank}.json").write_text(json.dumps({"logged": logged, "evaluated": evaluated}))
    torch.distributed.destroy_process_group()  # gloo's threads may otherwise abort a process that ends


if __name__ == "__main__":
    main()
