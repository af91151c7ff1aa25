"""Which frameworks plugins bring: gangplank_adapters."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.plugin_runs import python
from support.strangers import install

ANNOUNCED = """
import logging
logging.basicConfig(format="%(message)s", level=logging.WARNING)
import gangplank
from gangplank.core.plugins import registry
try:
    print(*(f"{plugin} {adapter.name}" for plugin, adapter in registry.adapters()), sep="\\n")
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
        ("return ['keras']", "TypeError: 'keras' is not a gangplank.Adapter"),
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
