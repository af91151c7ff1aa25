"""Two processes that JAX joins, which nothing in the environment tells of."""

from __future__ import annotations

import os
import subprocess
import sys

from support.reading import samples
from support.servers import Server, free_port

TRAINS = """
import sys
import jax
import gangplank
from jax._src import xla_bridge
address, port, process = sys.argv[1:]
jax.distributed.initialize(f"127.0.0.1:{port}", 2, int(process))
with gangplank.run(address, "digits", per_rank=True) as run:
    for _ in run.epochs(2):
        run.record({"own": int(process)})
assert not xla_bridge.backends_are_initialized(), "gangplank has initialised JAX' devices"
jax.distributed.shutdown()
"""


def test_processes_know_their_rank_from_the_cluster_that_jax_has_joined(gateway: Server) -> None:
    port = str(free_port())
    env = {**os.environ, "PYTHONWARNINGS": "ignore"}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", TRAINS, gateway.address, port, process], env=env, stderr=subprocess.PIPE, text=True
        )
        for process in ("0", "1")
    ]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    shown = {sample.labels["rank"]: sample.value for sample in samples(gateway.metrics(), "gangplank_train_own")}
    assert shown == {"0": 0.0, "1": 1.0}
