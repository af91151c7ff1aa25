"""Installed plugins of strangers that raise, hang or break at import: the core goes on, with one warning by name."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from reading import value
from servers import Server

TRAINS = """
import logging, sys, time
logging.basicConfig(format="%(message)s", level=logging.WARNING)
import gangplank
took = []
for _ in range(2):
    with gangplank.Run("{address}", "digits", ignore_exceptions={ignore}) as run:
        for epoch in range(20):
            start = time.perf_counter()
            run.record({{"loss": 0.5}}, epoch=epoch)
            took.append(time.perf_counter() - start)
print(sum(took))
left = time.monotonic()
import atexit
"""


def install(folder: Path, name: str, source: str) -> None:
    """Install a distribution of one module that announces itself as a plugin."""
    (folder / f"{name}.py").write_text(textwrap.dedent(source))
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[gangplank]\n{name} = {name}\n")


def trained(gateway: Server, folder: Path, *, ignore: bool = True) -> subprocess.CompletedProcess[str]:
    code = TRAINS.format(address=gateway.address, ignore=ignore)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert value(gateway, "gangplank_run_state", state="finished") == 1
    assert value(gateway, "gangplank_run_epoch") == 20
    return done


SEES = """
import gangplank.core.hookspecs as hookspecs
def note(text):
    with open({file!r}, "a") as file: print(text, file=file)
@hookspecs.hookimpl
def gangplank_run_started(run): note("started " + dict(run.group.labels)["phase"])
@hookspecs.hookimpl
def gangplank_snapshot(run, snapshot): note(f"epoch {{snapshot.epoch}} {{dict(snapshot.metrics)}}")
@hookspecs.hookimpl
def gangplank_run_finished(run, outcome): note(outcome)
"""


def test_an_observer_sees_everything_in_order(gateway: Server, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    install(tmp_path, "watcher", SEES.format(file=str(seen)))
    assert trained(gateway, tmp_path).stderr == ""
    run = ["started train", *(f"epoch {epoch + 1} {{'loss': 0.5}}" for epoch in range(20)), "finished"]
    assert seen.read_text().splitlines() == run * 2


def test_one_that_breaks_at_import_is_one_warning_by_name(gateway: Server, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    install(tmp_path, "broken_one", "raise ImportError('no such library')")
    install(tmp_path, "watcher", SEES.format(file=str(seen)))
    said = trained(gateway, tmp_path).stderr
    assert said == "The plugin broken_one cannot be loaded: ImportError: no such library\n"
    assert len(seen.read_text().splitlines()) == 44


def test_one_that_raises_is_one_warning_by_name_and_aborts_nothing(gateway: Server, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    install(
        tmp_path,
        "raiser",
        """
        import gangplank.core.hookspecs as hookspecs
        @hookspecs.hookimpl
        def gangplank_snapshot(run, snapshot): raise SystemExit("no\\nmore")
        """,
    )
    install(tmp_path, "watcher", SEES.format(file=str(seen)))
    for ignore in (True, False):
        said = trained(gateway, tmp_path, ignore=ignore).stderr
        assert said == "The plugin raiser raised in gangplank_snapshot: SystemExit: no more\n"
    assert len(seen.read_text().splitlines()) == 88


def test_one_that_hangs_holds_up_no_training_and_no_exit(gateway: Server, tmp_path: Path) -> None:
    install(
        tmp_path,
        "hanger",
        """
        import time
        import gangplank.core.hookspecs as hookspecs
        @hookspecs.hookimpl
        def gangplank_run_started(run): time.sleep(600)
        """,
    )
    done = trained(gateway, tmp_path)
    assert float(done.stdout) < 2  # 40 records, whatever else the machine does
    assert done.stderr == ""


def test_one_that_takes_no_such_hook_is_one_warning_by_name(gateway: Server, tmp_path: Path) -> None:
    install(
        tmp_path,
        "confused",
        """
        import gangplank.core.hookspecs as hookspecs
        @hookspecs.hookimpl
        def gangplank_snapshot(run, snapshot, colour): pass
        """,
    )
    said = trained(gateway, tmp_path).stderr
    assert said.startswith("The plugin confused cannot be loaded: PluginValidationError:")
    assert said.count("\n") == 1
