"""Processes that other processes start, each of which has a run of its own: its last values and its true end arrive."""

from __future__ import annotations

import multiprocessing
import sys
import textwrap
from pathlib import Path

import pytest

from support.child_runs import assert_shown, run_in_a_child
from support.reading import value
from support.servers import Server

STARTS = """
    child = multiprocessing.get_context(sys.argv[1]).Process(target=work, args=({keeps!r}, {then!r}))
    child.start()
    child.join(50)
    assert child.exitcode is not None
"""
POOLS = {
    "Pool": """
    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
        pool.apply(work, ({keeps!r}, {then!r}))
        pool.close()
        pool.join()
    """,
    "ProcessPoolExecutor": """
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(1, multiprocessing.get_context(sys.argv[1])) as pool:
        pool.submit(work, {keeps!r}, {then!r}).exception()
    """,
}
METHODS = [one for one in ("fork", "spawn", "forkserver") if one in multiprocessing.get_all_start_methods()]
# A process that was started anew runs `atexit` only once the exception is gone, from Python 3.13 on.
CTRL_C = "failed" if sys.version_info >= (3, 13) else "interrupted"
ENDS = [
    ("finish", True, "finished"),
    ("return", True, "failed"),
    ("return", False, "failed"),
    ("raise", True, "failed"),
    ("raise", False, "failed"),
    ("exit", True, CTRL_C),
    ("Ctrl-C", True, CTRL_C),
]


@pytest.mark.parametrize(("then", "keeps", "state"), ENDS)
@pytest.mark.parametrize("method", METHODS)
def test_the_end_of_a_childs_run_is_its_true_one(
    gateway: Server, tmp_path: Path, method: str, then: str, keeps: bool, state: str
) -> None:
    run_in_a_child(gateway, tmp_path, STARTS, method, then=then, keeps=keeps)
    assert_shown(gateway, state)


@pytest.mark.parametrize("end", ENDS[:3])
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("method", METHODS)
def test_a_run_in_the_worker_of_a_pool_ends_with_its_task_or_with_the_worker(
    gateway: Server, tmp_path: Path, method: str, pool: str, end: tuple[str, bool, str]
) -> None:
    then, keeps, state = end
    run_in_a_child(gateway, tmp_path, POOLS[pool], method, then=then, keeps=keeps)
    assert_shown(gateway, state)


def test_a_child_whose_gateway_hangs_ends_within_the_usual_time(gateway: Server, tmp_path: Path) -> None:
    gateway.freeze()
    try:
        run_in_a_child(
            gateway,
            tmp_path,
            "import time; began = time.monotonic()\n"
            + textwrap.dedent(STARTS)
            + "took = time.monotonic() - began\nassert took < 2 + 5, took\n",
            "fork",
            then="return",
            keeps=True,
        )
    finally:
        gateway.thaw()


def test_the_run_of_a_parent_is_not_ended_by_its_children(gateway: Server, tmp_path: Path) -> None:
    trains = """
    run = gangplank.run({address!r}, "digits", run="parent", grouping_key={{"of": "parent"}})
    with run:
        run.record({{"loss": 0.125}}, epoch=0)
        child = multiprocessing.get_context(sys.argv[1]).Process(target=work, args=({keeps!r}, {then!r}))
        child.start()
        child.join(50)
        run.record({{"loss": 0.0625}}, epoch=1)
    """
    run_in_a_child(gateway, tmp_path, trains, "fork", address=gateway.address, keeps=True, then="raise")
    assert value(gateway, "gangplank_run_state", of="parent", state="finished") == 1
    assert value(gateway, "gangplank_train_loss", of="parent") == 0.0625
    assert value(gateway, "gangplank_run_state", run="child", state="failed") == 1
