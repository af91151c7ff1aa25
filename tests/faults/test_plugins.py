"""The door for strangers' plugins: what they may do is theirs to use, and no fault of theirs is the training's."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import textwrap
import typing
from pathlib import Path

import pytest

import gangplank
from gangplank.core import hookspecs
from gangplank.core.page import Page
from reading import samples, value
from servers import Server, free_port
from strangers import environment, install

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
# One run with what a test asks for; what the core has to say is on stderr, an error's text on stdout.
RUNS = """
import logging
logging.basicConfig(format="%(message)s", level=logging.WARNING)
import gangplank
try:
    with gangplank.Run({address!r}, "digits", **{options!r}) as run:
        run.record({{"loss": 0.5}}, epoch=0)
except gangplank.GangplankError as error:
    print(type(error).__name__, error, sep=": ")
"""


def run_one(
    folder: Path, address: str, *, options: object = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run one epoch in a process that finds the plugins in a folder."""
    code = RUNS.format(address=address, options=options or {})
    return python(folder, code, **variables)


def python(folder: Path, code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment(folder, **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def trained(gateway: Server, folder: Path, *, ignore: bool = True) -> subprocess.CompletedProcess[str]:
    code = TRAINS.format(address=gateway.address, ignore=ignore)
    done = python(folder, code)
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


# Which are let in


def notes(folder: Path, *names: str) -> Path:
    """Install plugins that write their names down when a run starts; return where."""
    seen = folder / "seen"
    for name in names:
        source = f"""
            from gangplank import hookimpl
            @hookimpl
            def gangplank_run_started(run):
                with open({str(seen)!r}, "a") as file: print({name!r}, file=file)
            """
        install(folder, name, source)
    return seen


@pytest.mark.parametrize(
    ("variables", "left"),
    [
        ({}, "a b c"),
        ({"GANGPLANK_DISABLE_PLUGINS": "b"}, "a c"),
        ({"GANGPLANK_DISABLE_PLUGINS": "b, a"}, "c"),
        ({"GANGPLANK_DISABLE_PLUGINS": "none-such"}, "a b c"),
        ({"GANGPLANK_DISABLE_PLUGINS": ""}, "a b c"),
        *(({"GANGPLANK_DISABLE_PLUGINS": every}, "") for every in ("all", "ALL", "1", "true", "a all")),
        ({"GANGPLANK_PLUGINS": "c b"}, "b c"),
        ({"GANGPLANK_PLUGINS": ""}, ""),
        ({"GANGPLANK_PLUGINS": " , "}, ""),
        ({"GANGPLANK_PLUGINS": "a,b", "GANGPLANK_DISABLE_PLUGINS": "a"}, "b"),
        ({"GANGPLANK_PLUGINS": "all"}, ""),  # a name like any other
    ],
)
def test_the_environment_says_which_are_used(
    variables: dict[str, str], left: str, gateway: Server, tmp_path: Path
) -> None:
    seen = notes(tmp_path, "a", "b", "c")
    done = run_one(tmp_path, gateway.address, **variables)
    assert (seen.read_text().split() if seen.exists() else []) == left.split()
    said = "GANGPLANK_PLUGINS names all, and no such plugin is installed\n"
    assert done.stderr == (said if variables == {"GANGPLANK_PLUGINS": "all"} else "")


def test_one_that_is_switched_off_is_not_imported(gateway: Server, tmp_path: Path) -> None:
    install(tmp_path, "hangs", "import time; time.sleep(600)")
    assert run_one(tmp_path, gateway.address, GANGPLANK_DISABLE_PLUGINS="hangs").stderr == ""
    assert run_one(tmp_path, gateway.address, GANGPLANK_PLUGINS="").stderr == ""


def test_an_allowed_one_that_is_not_installed_is_one_warning(gateway: Server, tmp_path: Path) -> None:
    seen = notes(tmp_path, "a")
    code = RUNS.format(address=gateway.address, options={}) * 2
    done = python(tmp_path, code, GANGPLANK_PLUGINS="a, missing")
    assert done.stderr == "GANGPLANK_PLUGINS names missing, and no such plugin is installed\n"
    assert seen.read_text().split() == ["a", "a"]


def test_two_of_one_name_are_an_error_that_names_both_and_the_cure(gateway: Server, tmp_path: Path) -> None:
    for name in ("first", "second"):
        install(tmp_path, name, "", plugin="same")
    said = run_one(tmp_path, gateway.address).stdout
    assert said.startswith("ConfigurationError: two plugins claim the name 'same': ")
    assert "first 1.0 (first)" in said
    assert "second 1.0 (second)" in said
    assert "GANGPLANK_DISABLE_PLUGINS=same" in said
    assert python(tmp_path, "import gangplank").stderr == ""  # importing us is never broken
    for cure in ({"GANGPLANK_DISABLE_PLUGINS": "same"}, {"GANGPLANK_PLUGINS": ""}):
        assert run_one(tmp_path, gateway.address, **cure).stdout == ""
    (tmp_path / "second-1.0.dist-info" / "entry_points.txt").unlink()
    assert run_one(tmp_path, gateway.address).stdout == ""


def test_one_that_takes_our_own_name_is_refused(gateway: Server, tmp_path: Path) -> None:
    install(tmp_path, "impostor", "", plugin="gangplank")
    said = run_one(tmp_path, gateway.address).stdout
    assert said.startswith(
        "ConfigurationError: two plugins claim the name 'gangplank': gangplank itself and impostor 1.0"
    )
    assert run_one(tmp_path, gateway.address, GANGPLANK_DISABLE_PLUGINS="gangplank").stdout == ""


def test_a_misspelt_hook_is_reported_once_and_the_others_work(gateway: Server, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    misspelt = "\n@hookspecs.hookimpl\ndef gangplank_snapshots(run): note('never')\n"
    install(tmp_path, "sloppy", SEES.format(file=str(seen)) + misspelt)
    said = trained(gateway, tmp_path).stderr
    assert said.startswith("The plugin sloppy has a hook that nobody calls: unknown hook 'gangplank_snapshots'")
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


@pytest.mark.parametrize("target", ["no such module", "json:", "json:nonesuch", "json:dumps.x", "..", ":x", "1"])
def test_an_entry_point_that_names_nothing_is_one_warning_by_name(target: str, gateway: Server, tmp_path: Path) -> None:
    seen = notes(tmp_path, "a")
    install(tmp_path, "wrong", "")
    (tmp_path / "wrong-1.0.dist-info" / "entry_points.txt").write_text(f"[gangplank]\nwrong = {target}\n")
    said = run_one(tmp_path, gateway.address).stderr
    if target != "json:":  # which is json
        assert said.startswith("The plugin wrong cannot be loaded: ")
        assert said.count("\n") == 1
    assert seen.read_text() == "a\n"


@pytest.mark.parametrize("group", ["gangplank", "others"])
def test_entry_points_that_cannot_be_read_end_no_training(group: str, gateway: Server, tmp_path: Path) -> None:
    install(tmp_path, "wrong", "")
    (tmp_path / "wrong-1.0.dist-info" / "entry_points.txt").write_text(f"[{group}]\ngarbage\n")
    run_one(tmp_path, gateway.address)
    assert value(gateway, "gangplank_run_state", state="finished") == 1


# What they know: gangplank_info


def knows(folder: Path, name: str, answer: str) -> None:
    """Install a plugin that knows something."""
    install(folder, name, f"from gangplank import hookimpl\n@hookimpl\ndef gangplank_info(run):\n    {answer}\n")


def info_of(gateway: Server) -> dict[str, str]:
    (sample,) = samples(gateway.metrics(), "gangplank_run_info")
    return dict(sample.labels)


def test_facts_go_to_the_info_family_and_nowhere_else(gateway: Server, tmp_path: Path) -> None:
    knows(tmp_path, "cluster", "return {'queue': 'gpu', 'cost_centre': dict(run.group.labels)['job'], 'empty': ''}")
    knows(tmp_path, "machine", "return {'cores': 4}")
    assert run_one(tmp_path, gateway.address).stderr == ""
    labels = info_of(gateway)
    assert (labels["queue"], labels["cost_centre"], labels["cores"]) == ("gpu", "digits", "4")
    assert "empty" not in labels
    assert gateway.metrics().count('queue="gpu"') == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("return {'job': 'x', 'queue': 'gpu'}", "The plugin asked: info: the label 'job' is one that"),
        ("return {'le': 'x', 'queue': 'gpu'}", "The plugin asked: info: the label 'le' is one that"),
        ("return {'run': 'x', 'queue': 'gpu'}", "The plugin asked: info: the label 'run' is one that"),
        ("return {'host': 'x', 'queue': 'gpu'}", "The plugin asked: info: the label 'host' is one that"),
        ("return {'team': 'x', 'queue': 'gpu'}", "The plugin asked: info: the label 'team' is one that"),
        ("return {'a b': 'x', 'queue': 'gpu'}", "The plugin asked: info: 'a b' is no label name"),
        ("return {'__x': 'x', 'queue': 'gpu'}", "The plugin asked: info: '__x' begins with __"),
        ("return {3: 'x', 'queue': 'gpu'}", "The plugin asked: info: 3 is no label name"),
        ("return {'bad': chr(0xDC80), 'queue': 'gpu'}", "The plugin asked: info['bad']="),
        ("return ['queue']", "The plugin asked returned a list as info"),
        ("return 'queue'", "The plugin asked returned a str as info"),
        ("raise RuntimeError('no\\nidea')", "The plugin asked raised in gangplank_info: RuntimeError: no idea"),
        ("raise SystemExit", "The plugin asked raised in gangplank_info: SystemExit"),
        ("return None", ""),
        ("return {}", ""),
        ("import time; time.sleep(600)", ""),
    ],
)
def test_what_is_no_fact_is_reported_once_by_name_and_hurts_nobody(
    answer: str, said: str, gateway: Server, tmp_path: Path
) -> None:
    knows(tmp_path, "asked", answer)
    done = run_one(tmp_path, gateway.address, options={"grouping_key": {"team": "vision"}})
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == bool(said)
    assert value(gateway, "gangplank_run_state", state="finished") == 1
    labels = info_of(gateway)
    assert (labels.get("queue") == "gpu") == ("'queue': 'gpu'" in answer)
    assert labels["host"] != "x"
    assert labels["team"] == "vision"


def test_what_a_plugin_says_as_the_process_ends_is_sent(gateway: Server, tmp_path: Path) -> None:
    knows(tmp_path, "asked", "import time; time.sleep(0.15); return {'queue': 'gpu'}")
    plugins_are_waited_for_last = """
from gangplank.core import observers, process
process.this.senders = sorted(process.this.senders, key=lambda sender: isinstance(sender, observers.Observers))
"""
    python(tmp_path, RUNS.format(address=gateway.address, options={}) + plugins_are_waited_for_last)
    assert info_of(gateway)["queue"] == "gpu"


def test_what_the_user_says_stays_and_then_what_earlier_names_say(gateway: Server, tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        knows(tmp_path, name, f"return {{'queue': {name!r}, 'owned': {name!r}, 'of_{name}': 'x'}}")
    said = run_one(tmp_path, gateway.address, options={"info": {"owned": "mine"}}).stderr
    labels = info_of(gateway)
    assert (labels["owned"], labels["queue"]) == ("mine", "a")
    assert {"of_a", "of_b", "of_c"} < labels.keys()
    by_name = re.findall(r"^The plugin (\w): info: the label '(\w+)' is one", said, re.MULTILINE)
    assert by_name == [("a", "owned"), ("b", "queue"), ("b", "owned"), ("c", "queue"), ("c", "owned")]


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


# Where to: gangplank_open_sink

OPENS = """
import gangplank
class Kafka:
    def __init__(self, address): self.address = address
    def __str__(self): return self.address
    def send(self, page, timeout):
        with open({file!r}, "ab") as file: file.write(page.identified().text())
    def close(self): pass
@gangplank.hookimpl
def gangplank_open_sink(address):
    with open({file!r} + ".asked", "a") as file: print(address, file=file)
    {more}
    return Kafka(address) if address.startswith("kafka://") else None
"""


def opener(folder: Path, name: str = "kafka", more: str = "pass") -> Path:
    """Install a plugin that opens `kafka://`; return where its pages arrive, and `.asked` what it was asked."""
    pages = folder / f"{name}.pages"
    install(folder, name, OPENS.format(file=str(pages), more=more))
    return pages


def asked(pages: Path) -> list[str]:
    path = Path(f"{pages}.asked")
    return path.read_text().splitlines() if path.exists() else []


def test_a_plugin_opens_a_scheme_of_its_own(tmp_path: Path) -> None:
    pages = opener(tmp_path)
    done = run_one(tmp_path, "kafka://broker:9092/metrics")
    assert (done.stdout, done.stderr) == ("", "")
    last = pages.read_text().rpartition("# HELP gangplank_train_loss")[2]
    assert re.search(r'^gangplank_train_loss\{.*job="digits",phase="train".*\} 0\.5$', last, re.MULTILINE)
    assert re.search(r'^gangplank_run_state\{.*state="finished"\} 1\.0$', last, re.MULTILINE)
    assert asked(pages) == ["kafka://broker:9092/metrics"]


def test_the_first_by_name_that_answers_opens(tmp_path: Path) -> None:
    first, second = opener(tmp_path, "a"), opener(tmp_path, "b")
    run_one(tmp_path, "kafka://broker:1")
    assert first.exists()
    assert not asked(second)


@pytest.mark.parametrize(
    "address", ["{gateway}", "http://{gateway}", "HTTP://{gateway}", "file://{folder}/digits.prom"]
)
def test_schemes_of_ours_cannot_be_taken_over(address: str, gateway: Server, tmp_path: Path) -> None:
    pages = opener(tmp_path, more="return Kafka(address)")
    assert run_one(tmp_path, address.format(gateway=gateway.address, folder=tmp_path)).stderr == ""
    assert not asked(pages)
    assert not pages.exists()
    assert (tmp_path / "digits.prom").exists() or value(gateway, "gangplank_train_loss") == 0.5


def test_a_scheme_of_ours_is_the_users_to_take(gateway: Server) -> None:
    sent: list[Page] = []

    class Own:
        def send(self, page: Page, timeout: float) -> None:
            sent.append(page)

        def close(self) -> None:
            pass

    with gangplank.Run(gateway.address, "digits", sink=lambda address: Own()) as run:
        run.record({"loss": 0.5}, epoch=0)
    assert sent[-1].metrics["loss"][0] == 0.5
    assert "gangplank_train_loss" not in gateway.metrics()


def test_a_scheme_that_nobody_knows_is_an_error_that_lists_who_was_asked(tmp_path: Path) -> None:
    assert "host:port, http://, https://, file:///, scrape://)" in run_one(tmp_path, "nats://broker:1").stdout
    pages = opener(tmp_path)
    said = run_one(tmp_path, "nats://me:canary@broker:1").stdout
    assert said.startswith("ConfigurationError: nats://broker:1: no scheme of gangplank's own (host:port, http://")
    assert "and of the plugins kafka: " in said
    assert "gangplank plugins" in said
    assert asked(pages) == ["nats://broker:1"]


def test_one_that_raises_is_named_and_the_next_is_asked(tmp_path: Path) -> None:
    opener(tmp_path, "a", more="raise RuntimeError('half open')")
    said = run_one(tmp_path, "kafka://broker:1").stdout
    assert "; a raised RuntimeError: half open" in said
    pages = opener(tmp_path, "b")
    assert run_one(tmp_path, "kafka://broker:1").stdout == ""
    assert pages.exists()


def test_one_that_ends_the_process_is_named(tmp_path: Path) -> None:
    opener(tmp_path, "a", more="raise SystemExit('half open')")
    assert "; a raised SystemExit: half open" in run_one(tmp_path, "kafka://broker:1").stdout


@pytest.mark.parametrize("what", ["'kafka'", "Kafka", "object()"])
def test_what_is_no_sink_is_refused_with_the_plugins_name(what: str, tmp_path: Path) -> None:
    opener(tmp_path, more=f"return {what}")
    said = run_one(tmp_path, "kafka://broker:1").stdout
    assert said.startswith("ConfigurationError: ")
    assert "the plugin kafka" in said


def test_the_cure_that_one_gives_is_the_users(tmp_path: Path) -> None:
    opener(tmp_path, more="raise gangplank.ConfigurationError('name a topic: kafka://broker/topic')")
    said = run_one(tmp_path, "kafka://broker:1").stdout
    assert said == "ConfigurationError: name a topic: kafka://broker/topic\n"


def test_credentials_in_an_address_are_refused_and_not_shown(tmp_path: Path) -> None:
    pages = opener(tmp_path)
    said = run_one(tmp_path, "kafka://me:canary@broker:9092/metrics").stdout
    assert said.startswith(
        "ConfigurationError: kafka://broker:9092/metrics: the plugin kafka is not given the credentials"
    )
    assert "canary" not in said
    assert asked(pages) == ["kafka://broker:9092/metrics"]
    assert not pages.exists()


@pytest.mark.parametrize("secret", ["ca/nary", "c@nary", "ca nary", "ca\nnary", "ca?nary"])
def test_credentials_that_are_malformed_are_not_shown_either(secret: str, tmp_path: Path) -> None:
    pages = opener(tmp_path)
    said = run_one(tmp_path, f"kafka://me:{secret}@broker:9092").stdout
    assert said.startswith("ConfigurationError: ")
    assert "nary" not in said + "".join(asked(pages))
    assert not pages.exists()


# Which frameworks: gangplank_adapters

ANNOUNCED = """
import logging
logging.basicConfig(format="%(message)s", level=logging.WARNING)
import gangplank
from gangplank.core import plugins
try:
    print(*(f"{plugin} {adapter.name}" for plugin, adapter in plugins.adapters()), sep="\\n")
except gangplank.GangplankError as error:
    print(type(error).__name__, error, sep=": ")
"""


def announces(folder: Path, name: str, answer: str) -> None:
    source = f"from gangplank import Adapter, hookimpl\n@hookimpl\ndef gangplank_adapters():\n    {answer}\n"
    install(folder, name, source)


def test_adapters_are_listed_with_their_plugins(tmp_path: Path) -> None:
    announces(tmp_path, "boosts", "return [Adapter('boosts', 'json', 'json:dumps', 'pip install boosts')]")
    announces(tmp_path, "many", "return (Adapter(f'm{i}', 'x', 'x:y', 'pip') for i in range(2))")
    done = python(tmp_path, ANNOUNCED)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[-3:] == ["boosts boosts", "many m0", "many m1"]
    assert "gangplank keras" in lines[:-3]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("return ['keras']", "TypeError: 'keras' is no gangplank.Adapter"),
        ("return 3", "TypeError: "),
        ("raise RuntimeError('no')", "RuntimeError: no"),
        ("raise SystemExit('no')", "SystemExit: no"),
        ("return [Adapter(None, None, None, None)]", "TypeError: "),
    ],
)
def test_what_is_no_adapter_is_reported_by_name_and_hides_no_other(answer: str, said: str, tmp_path: Path) -> None:
    announces(tmp_path, "wrong", answer)
    announces(tmp_path, "zebra", "return [Adapter('zebra', 'x', 'x:y', 'pip')]")
    done = python(tmp_path, ANNOUNCED)
    assert done.stderr.startswith(f"The plugin wrong raised in gangplank_adapters: {said}")
    assert done.stderr.count("\n") == 1
    assert done.stdout.splitlines()[-1] == "zebra zebra"
    assert "gangplank keras" in done.stdout


@pytest.mark.parametrize("other", ["keras", "boosts"])
def test_two_adapters_of_one_name_are_an_error_that_names_both(other: str, tmp_path: Path) -> None:
    announces(tmp_path, "a", "return [Adapter('boosts', 'x', 'x:y', 'pip')]")
    announces(tmp_path, "b", f"return [Adapter({other!r}, 'x', 'x:y', 'pip')]")
    said = python(tmp_path, ANNOUNCED).stdout
    first = "gangplank" if other == "keras" else "a"
    assert said.startswith(
        f"ConfigurationError: two adapters claim the name {other!r}: the plugin {first} and the plugin b"
    )


# Every hook

HOOKS = [name for name, function in vars(hookspecs).items() if hasattr(function, "gangplank_spec")]


def test_there_are_seven() -> None:
    assert len(HOOKS) == 7
    assert all(name.startswith("gangplank_") for name in HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_says_how_it_is_used(hook: str) -> None:
    function = getattr(hookspecs, hook)
    document = inspect.getdoc(function) or ""
    example = "\n".join(re.findall(r"^(?: {4}.*)?$", document, re.MULTILINE))
    defined = compile(textwrap.dedent(example), hook, "exec")
    assert "@hookimpl\n" in example
    assert hook in defined.co_names
    assert re.search(r"entry point `\w+ = \"\w+\"`", document), "how it is announced"
    hints = typing.get_type_hints(function)
    assert set(hints) == {*inspect.signature(function).parameters, "return"}
    assert typing.Any not in hints.values()


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_has_tests_here(hook: str) -> None:
    assert Path(__file__).read_text().count(f"def {hook}(") > 0


def test_a_plugin_with_every_hook_is_told_by_each(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    lines = [
        "from gangplank import hookimpl",
        "class Nowhere:",
        "    def send(self, page, timeout): pass",
        "    def close(self): pass",
    ]
    for hook in HOOKS:
        parameters = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
        note = f"    with open({str(seen)!r}, 'a') as file: print({hook!r}, file=file)"
        answers = {"gangplank_info": "{}", "gangplank_adapters": "[]", "gangplank_open_sink": "Nowhere()"}
        lines += ["@hookimpl", f"def {hook}({parameters}):", note, f"    return {answers.get(hook)}"]
    install(tmp_path, "everything", "\n".join(lines))
    code = RUNS.format(address="nowhere://", options={}) + "from gangplank.core import plugins; plugins.adapters()\n"
    done = python(tmp_path, code)
    assert (done.stdout, done.stderr) == ("", "")
    assert set(seen.read_text().split()) == set(HOOKS)
