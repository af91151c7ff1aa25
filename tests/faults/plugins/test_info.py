"""What plugins know of a run: gangplank_info."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.plugin_runs import RUNS, python, run_one
from support.reading import samples, value
from support.servers import Server
from support.strangers import install


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
        ("return {'a b': 'x', 'queue': 'gpu'}", "The plugin asked: info: 'a b' is not a valid label name"),
        ("return {'__x': 'x', 'queue': 'gpu'}", "The plugin asked: info: '__x' begins with __"),
        ("return {3: 'x', 'queue': 'gpu'}", "The plugin asked: info: 3 is not a valid label name"),
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
from gangplank.core.plugins import observers
from gangplank.core.lifecycle import process
process.senders = sorted(process.senders, key=lambda sender: isinstance(sender, observers.Observers))
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
    by_name = re.findall(r"The plugin (\w): info: the label '(\w+)' is one", said)
    assert by_name == [("a", "owned"), ("b", "queue"), ("b", "owned"), ("c", "queue"), ("c", "owned")]
