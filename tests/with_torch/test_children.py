"""Processes that PyTorch's launcher and joblib start, each of which has a run of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.child_runs import assert_shown, run_in_a_child
from support.servers import Server

SPAWN = """
    import torch.multiprocessing as mp
    try:
        mp.spawn(as_rank, args=(sys.argv[1],), nprocs=1)
    except mp.ProcessRaisedException as error:
        assert "mine" in str(error)
"""
LOKY = """
    import joblib
    from joblib.externals.loky import get_reusable_executor
    joblib.Parallel(n_jobs=2, backend="loky")([joblib.delayed(work)(True, sys.argv[1])])
    get_reusable_executor().shutdown(wait=True)
"""


@pytest.mark.parametrize(
    ("starts", "then", "state"),
    [
        pytest.param(SPAWN, "finish", "finished", id="spawn: finish"),
        pytest.param(SPAWN, "return", "failed", id="spawn: return"),
        pytest.param(SPAWN, "raise", "failed", id="spawn: raise"),
        pytest.param(SPAWN, "Ctrl-C", "failed", id="spawn: Ctrl-C"),  # which the launcher catches and forgets
        pytest.param(LOKY, "finish", "finished", id="loky: finish"),
        pytest.param(LOKY, "return", "failed", id="loky: return"),
    ],
)
def test_the_end_of_a_childs_run_is_its_true_one(
    gateway: Server, tmp_path: Path, starts: str, then: str, state: str
) -> None:
    run_in_a_child(gateway, tmp_path, starts, then)
    assert_shown(gateway, state)
