"""Plugins that observe: no fault of theirs is the training's."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.plugin_runs import RUNS, python, run_one, trained
from support.reading import value
from support.servers import Server, free_port
from support.strangers import install

SEES = """
import gangplank.core.plugins.hookspecs as hookspecs
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
        import gangplank.core.plugins.hookspecs as hookspecs
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
        import gangplank.core.plugins.hookspecs as hookspecs
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
        import gangplank.core.plugins.hookspecs as hookspecs
        @hookspecs.hookimpl
        def gangplank_snapshot(run, snapshot, colour): pass
        """,
    )
    said = trained(gateway, tmp_path).stderr
    assert said.startswith("The plugin confused cannot be loaded: PluginValidationError:")
    assert said.count("\n") == 1


def test_a_misspelt_hook_is_reported_once_and_the_others_work(gateway: Server, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    misspelt = "\n@hookspecs.hookimpl\ndef gangplank_snapshots(run): note('never')\n"
    install(tmp_path, "sloppy", SEES.format(file=str(seen)) + misspelt)
    said = trained(gateway, tmp_path).stderr
    assert said.startswith("The plugin sloppy implements a hook that does not exist: ")
    assert "unknown hook 'gangplank_snapshots'" in said
    assert said.count("\n") == 1
    assert len(seen.read_text().splitlines()) == 44


@pytest.mark.parametrize("ends", ["raise SystemExit(3)", "import sys; sys.exit('no')"])
def test_one_that_ends_the_process_at_import_is_one_warning(ends: str, gateway: Server, tmp_path: Path) -> None:
    install(tmp_path, "leaver", ends)
    assert trained(gateway, tmp_path).stderr.startswith("The plugin leaver cannot be loaded: SystemExit: ")


def test_what_one_does_to_a_snapshot_changes_no_number(gateway: Server, tmp_path: Path) -> None:
    install(
        tmp_path,
        "meddler",
        """
        from gangplank import hookimpl
        @hookimpl
        def gangplank_snapshot(run, snapshot):
            snapshot.metrics["loss"] = 99.0
        """,
    )
    trained(gateway, tmp_path)
    assert value(gateway, "gangplank_train_loss") == 0.5


def test_what_one_does_to_a_snapshot_no_other_sees(gateway: Server, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    hook = "from gangplank import hookimpl\n@hookimpl\ndef gangplank_snapshot(run, snapshot): "
    install(tmp_path, "a_meddler", f"{hook}snapshot.metrics['loss'] = 99.0")
    install(tmp_path, "b_watcher", f"{hook}print(snapshot.metrics['loss'], file=open({str(seen)!r}, 'a'))")
    run_one(tmp_path, gateway.address)
    assert seen.read_text() == "0.5\n"


def test_one_that_does_not_keep_up_loses_events_and_nothing_else(gateway: Server, tmp_path: Path) -> None:
    install(
        tmp_path,
        "hanger",
        """
        import time
        from gangplank import hookimpl
        @hookimpl
        def gangplank_snapshot(run, snapshot): time.sleep(600)
        """,
    )
    code = RUNS.format(address=gateway.address, options={}).replace("epoch=0", "epoch=1")
    done = python(tmp_path, code.replace("        run.record", "        for _ in range(1_200): run.record"))
    assert done.stderr == "Plugins (hanger) do not keep up: an event is dropped\n"
    assert value(gateway, "gangplank_run_state", state="finished") == 1


# What arrived: gangplank_delivered


def test_deliveries_are_told_with_no_credentials(gateway: Server, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    install(
        tmp_path,
        "audit",
        f"""
        from gangplank import hookimpl
        def note(file, *things):
            with open({str(seen)!r} + file, "a") as file: print(*things, file=file)
        @hookimpl
        def gangplank_delivered(run, delivery):
            note("", run.name, delivery.to, delivery.error and delivery.error.reason)
            note(".raw", repr(run), repr(delivery), repr(delivery.error), repr(vars(delivery.error or note)))
        """,
    )
    nobody = free_port()
    for port in (gateway.port, nobody):
        options = {"run": "r1", "flush_timeout": 0.3}
        run_one(tmp_path, f"http://me:canary@127.0.0.1:{port}", options=options)
    told = set(seen.read_text().splitlines())
    assert told == {f"r1 http://{gateway.address} None", f"r1 http://127.0.0.1:{nobody} unreachable"}
    assert "canary" not in (tmp_path / "seen.raw").read_text()
