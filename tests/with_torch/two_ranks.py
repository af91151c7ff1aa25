"""A training in two processes that torch spawns, as a program: the arguments are the gateway, a folder, and options."""

from __future__ import annotations

import json
import sys

import torch.distributed
import torch.multiprocessing

import gangplank


def train(rank: int, address: str, folder: str, options: str) -> None:
    torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    with gangplank.run(address, "digits", **json.loads(options)) as run:
        for _ in run.epochs(2):
            loss = torch.tensor(1.0 + rank)
            torch.distributed.all_reduce(loss)
            run.record({"loss": loss, "own": rank})
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    torch.multiprocessing.spawn(train, sys.argv[1:], nprocs=2)
